package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
	"github.com/redis/go-redis/v9"
)

const (
	competed = 10_000 // events that are delivered
	started  = 500    // of them, before the clock starts: whoever competes has joined by then
	workers  = 4
)

func (s *redisServer) competingFigures() []figure {
	return []figure{{
		name: "redis-competing-vs-watermill", unit: "x", ours: s.with(compete), theirs: s.withPlain(competeWatermill),
		what: "competing delivery of 10,000 events to 4 workers, over watermill-redisstream with 4 subscribers of one group, same payload",
	}}
}

// handling counts what is handled, and takes the time.
type handling struct {
	n          atomic.Int64
	start, end time.Time
	all        chan struct{}
}

// handle reports an event that is not as it was written.
func (h *handling) handle(o order) error {
	if o != wide {
		return fmt.Errorf("not what was written: %+v", o)
	}
	switch h.n.Add(1) {
	case started:
		h.start = time.Now()
	case competed:
		h.end = time.Now()
		close(h.all)
	}
	return nil
}

// wait waits until all is handled, and returns how many there were per second.
func (h *handling) wait(ctx context.Context) (measured, error) {
	select {
	case <-h.all:
	case <-ctx.Done():
		return measured{}, ctx.Err()
	case <-time.After(time.Minute):
		return measured{}, fmt.Errorf("%d of %d events handled within a minute", h.n.Load(), competed)
	}
	return measured{rate: (competed - started) / h.end.Sub(h.start).Seconds()}, nil
}

// compete has an organ with four workers handle a log that is there.
func compete(ctx context.Context, l *redisLog) (m measured, err error) {
	payloads := make([]eventstore.Payload, 1000)
	for i := range payloads {
		payloads[i] = eventstore.In(eventstore.StreamOf("order", fmt.Sprint(i)), wide)
	}
	for range competed / len(payloads) {
		if _, err := l.store.Emit(ctx, payloads...); err != nil {
			return m, err
		}
	}
	h := handling{all: make(chan struct{})}
	organ := organs.Reactor{
		Name: "workers", Policy: spine.Policy{Delivery: spine.Competing, Workers: workers},
		On: organs.Reactions{organs.React(func(_ context.Context, o order) (organs.Events, error) { return nil, h.handle(o) })},
	}
	sp, err := spine.New(l.store, spine.Config{Logger: slog.New(slog.DiscardHandler)}, organ)
	if err != nil {
		return m, err
	}
	run, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- sp.Run(run) }()
	m, err = h.wait(ctx)
	stop()
	if err := errors.Join(err, <-done); err != nil {
		return m, err
	}
	left, err := l.server.client.HLen(ctx, l.key("wd:workers")).Result()
	return m, settled(&h, left, err)
}

// settled checks that each event was handled once, and acknowledged.
func settled(h *handling, left int64, err error) error {
	if n := h.n.Load(); err == nil && (n != competed || left != 0) {
		err = fmt.Errorf("%d events were handled, not %d, and %d are not acknowledged", n, competed, left)
	}
	return err
}

// competeWatermill has four subscribers of a consumer group handle a stream that is there: each with a client of its own, as all
// else at its defaults.
func competeWatermill(ctx context.Context, l *redisLog, client *redis.Client) (m measured, err error) {
	topic := l.key("topic")
	data, err := json.Marshal(wide)
	if err != nil {
		return m, err
	}
	pipe := client.Pipeline()
	for range competed {
		values, err := redisstream.DefaultMarshallerUnmarshaller{}.Marshal(topic, message.NewMessage(watermill.NewUUID(), data))
		if err != nil {
			return m, err
		}
		pipe.XAdd(ctx, &redis.XAddArgs{Stream: topic, Values: values})
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return m, err
	}
	h := handling{all: make(chan struct{})}
	failed := make(chan error, workers)
	subscribers := make([]*redisstream.Subscriber, workers)
	defer func() { err = errors.Join(err, closeSubscribers(subscribers)) }()
	for i := range subscribers {
		own, err := l.server.connect()
		if err != nil {
			return m, err
		}
		config := redisstream.SubscriberConfig{Client: own, ConsumerGroup: "workers", DisableIndefiniteInitialBlock: true}
		if subscribers[i], err = redisstream.NewSubscriber(config, watermill.NopLogger{}); err != nil {
			return m, errors.Join(err, own.Close())
		}
		messages, err := subscribers[i].Subscribe(ctx, topic)
		if err != nil {
			return m, err
		}
		go func() { failed <- consume(&h, messages) }()
	}
	if m, err = h.wait(ctx); err != nil {
		return m, err
	}
	err, subscribers = closeSubscribers(subscribers), nil
	for range workers {
		err = errors.Join(err, <-failed)
	}
	if err != nil {
		return m, err
	}
	pending, err := client.XPending(ctx, topic, "workers").Result()
	if err != nil {
		return m, err
	}
	return m, settled(&h, max(0, pending.Count-workers), nil) // what is on its way as the last one is handled, a close cuts short
}

func consume(h *handling, messages <-chan *message.Message) error {
	for m := range messages {
		var o order
		err := json.Unmarshal(m.Payload, &o)
		if err == nil {
			err = h.handle(o)
		}
		if err != nil {
			return err
		}
		m.Ack()
	}
	return nil
}

func closeSubscribers(list []*redisstream.Subscriber) (err error) {
	for _, s := range list {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
	}
	return err
}
