package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

const (
	dispatched = 500_000
	perCommit  = 100
	streams    = 1000
)

func memoryFigures() []figure {
	return []figure{
		{
			name: "mem-dispatch", unit: "events/s", ours: rate(dispatch),
			what: "events through a no-op reactor, 16 partitions, from the first append to the last checkpoint; 100 events a commit",
		},
		{
			name: "mem-append-64", unit: "events/s", ours: rate(append64),
			what: "appends from 64 goroutines, one event a commit",
		},
		{
			name: "mem-vs-watermill", unit: "x", ours: rate(dispatch), theirs: rate(watermillDispatch),
			what: "mem-dispatch over watermill's EventProcessor on a GoChannel, same payload",
		},
	}
}

// order is 120 bytes of JSON.
type order struct {
	Order    string `json:"order"`
	Trader   string `json:"trader"`
	Symbol   string `json:"symbol"`
	Note     string `json:"note"`
	Quantity int64  `json:"quantity"`
	Price    int64  `json:"price"`
}

func (order) EventType() string { return "order submitted" }

var sample = order{Order: "order-123456", Trader: "trader-98765", Symbol: "AAPL", Note: "good until filled", Quantity: 100, Price: 18553}

// dispatch is events handled per second, from the first append to the last checkpoint.
func dispatch(ctx context.Context) (rate float64, err error) {
	store := memory.Open(memory.Config{})
	defer func() { err = errors.Join(err, store.Close()) }()
	var handled atomic.Int64
	noop := organs.Reactor{Name: "noop", On: organs.Reactions{
		organs.React(func(_ context.Context, o order) (organs.Events, error) {
			if o == sample { // it was decoded, and correctly
				handled.Add(1)
			}
			return nil, nil
		}),
	}}
	sp, err := spine.New(store, spine.Config{Logger: slog.New(slog.DiscardHandler)}, noop)
	if err != nil {
		return 0, err
	}
	run, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- sp.Run(run) }()
	events := samples()
	start := time.Now()
	last, err := emit(ctx, sp, events)
	if err == nil {
		err = sp.WaitFor(ctx, "noop", last)
	}
	took := time.Since(start)
	stop()
	if err = errors.Join(err, <-done); err == nil && handled.Load() != dispatched {
		err = fmt.Errorf("%d events handled, not %d", handled.Load(), dispatched)
	}
	return dispatched / took.Seconds(), err
}

// samples is one payload for each stream.
func samples() []eventstore.Payload {
	events := make([]eventstore.Payload, streams)
	for i := range events {
		events[i] = eventstore.In(eventstore.StreamOf("order", fmt.Sprint(i)), sample)
	}
	return events
}

// emit appends the events, again and again, and returns the last position.
func emit(ctx context.Context, sp *spine.Spine, events []eventstore.Payload) (last eventstore.Position, err error) {
	for n := 0; n < dispatched; n += perCommit {
		from := n % len(events)
		r, err := sp.Emit(ctx, events[from:from+perCommit]...)
		if err != nil {
			return 0, err
		}
		last = r.Position
	}
	return last, nil
}

// append64 is events appended per second by 64 goroutines, each to a stream of its own, one a commit.
func append64(ctx context.Context) (rate float64, err error) {
	const writers, each = 64, 4000
	store := memory.Open(memory.Config{})
	defer func() { err = errors.Join(err, store.Close()) }()
	errs := make([]error, writers)
	var wg sync.WaitGroup
	start := time.Now()
	for w := range writers {
		wg.Go(func() {
			stream := eventstore.StreamOf("order", fmt.Sprint(w))
			for range each {
				if _, err := store.Append(ctx, stream, eventstore.Any, sample); err != nil {
					errs[w] = err
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	if head, err := store.Head(ctx); err != nil || head != writers*each {
		return 0, fmt.Errorf("head is %d, not %d: %w", head, writers*each, err)
	}
	return writers * each / took.Seconds(), nil
}
