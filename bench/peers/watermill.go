package peers

import (
	"context"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill"
	watersql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
)

// watermillSQL is no event store: it publishes messages to a table, and checks no version.
func watermillSQL() Peer {
	return Peer{Name: "watermill-sql", Sips: true, Table: `"watermill_` + topic + `"`, Open: openWatermill}
}

const topic = "orders"

type watermillStore struct {
	pool      *pgxpool.Pool
	publisher *watersql.Publisher
	data      []byte
}

func openWatermill(ctx context.Context, dsn string, size int, payload []byte) (Store, error) {
	pool, err := pgxPool(ctx, dsn, size)
	if err != nil {
		return nil, err
	}
	publisher, err := watersql.NewPublisher(watersql.BeginnerFromPgx(pool), watersql.PublisherConfig{
		SchemaAdapter: watersql.DefaultPostgreSQLSchema{}, AutoInitializeSchema: true,
	}, watermill.NopLogger{})
	if err != nil {
		pool.Close()
		return nil, err
	}
	return watermillStore{pool, publisher, payload}, nil
}

func (s watermillStore) Append(ctx context.Context, _ string, _, n int) error {
	messages := make([]*message.Message, n)
	for i := range messages {
		messages[i] = message.NewMessageWithContext(ctx, watermill.NewUUID(), s.data)
	}
	return s.publisher.Publish(topic, messages...)
}

func (s watermillStore) Load(context.Context, string) (int, error) {
	return 0, errors.New("watermill has no streams to load")
}

// All consumes and acknowledges every message, as a consumer group of its own.
func (s watermillStore) All(ctx context.Context, want int) (n int, err error) {
	subscriber, err := watersql.NewSubscriber(watersql.BeginnerFromPgx(s.pool), watersql.SubscriberConfig{
		ConsumerGroup: watermill.NewUUID(), SchemaAdapter: watersql.DefaultPostgreSQLSchema{},
		OffsetsAdapter: watersql.DefaultPostgreSQLOffsetsAdapter{}, InitializeSchema: true,
	}, watermill.NopLogger{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, subscriber.Close()) }()
	messages, err := subscriber.Subscribe(ctx, topic)
	if err != nil {
		return 0, err
	}
	for m := range messages {
		m.Ack()
		if n++; n == want {
			return n, nil
		}
	}
	return n, fmt.Errorf("the subscription ended after %d messages", n)
}

func (s watermillStore) Close() error {
	err := s.publisher.Close()
	s.pool.Close()
	return err
}
