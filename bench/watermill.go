package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
)

// watermillDispatch is the same measure for watermill: events published to its EventBus and handled by its
// EventProcessor, on a buffered GoChannel that does not block publishers, without logging.
func watermillDispatch(ctx context.Context) (rate float64, err error) {
	const events = dispatched / 4 // it is steady, and slower
	logger := watermill.NopLogger{}
	channel := gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: 10_000}, logger)
	defer func() { err = errors.Join(err, channel.Close()) }()
	router, err := message.NewRouter(message.RouterConfig{}, logger)
	if err != nil {
		return 0, err
	}
	codec := cqrs.JSONMarshaler{GenerateName: cqrs.StructName}
	bus, err := cqrs.NewEventBusWithConfig(channel, cqrs.EventBusConfig{
		GeneratePublishTopic: func(cqrs.GenerateEventPublishTopicParams) (string, error) { return "orders", nil },
		Marshaler:            codec,
		Logger:               logger,
	})
	if err != nil {
		return 0, err
	}
	processor, err := cqrs.NewEventProcessorWithConfig(router, cqrs.EventProcessorConfig{
		GenerateSubscribeTopic: func(cqrs.EventProcessorGenerateSubscribeTopicParams) (string, error) { return "orders", nil },
		SubscriberConstructor: func(cqrs.EventProcessorSubscriberConstructorParams) (message.Subscriber, error) {
			return channel, nil
		},
		Marshaler: codec,
		Logger:    logger,
	})
	if err != nil {
		return 0, err
	}
	var handled atomic.Int64
	all := make(chan struct{})
	err = processor.AddHandlers(cqrs.NewEventHandler("noop", func(_ context.Context, o *order) error {
		if *o == sample && handled.Add(1) == events {
			close(all)
		}
		return nil
	}))
	if err != nil {
		return 0, err
	}
	done := make(chan error, 1)
	go func() { done <- router.Run(ctx) }()
	<-router.Running()
	start := time.Now()
	for range events {
		if err := bus.Publish(ctx, &sample); err != nil {
			return 0, err
		}
	}
	<-all
	took := time.Since(start)
	if err := errors.Join(router.Close(), <-done); err != nil {
		return 0, err
	}
	return events / took.Seconds(), nil
}
