package peers

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/modernice/goes/backend/postgres"
	"github.com/modernice/goes/codec"
	"github.com/modernice/goes/event"
	"github.com/modernice/goes/event/query"
)

func goes() Peer {
	return Peer{Name: "modernice/goes", Checks: true, Loads: true, Table: "events", Open: openGoes}
}

type goesStore struct {
	pool  *pgxpool.Pool
	store *postgres.EventStore
	data  json.RawMessage
}

func openGoes(ctx context.Context, dsn string, size int, payload []byte) (Store, error) {
	pool, err := pgxPool(ctx, dsn, size)
	if err != nil {
		return nil, err
	}
	encoding := codec.New(codec.Default(json.Marshal, json.Unmarshal))
	codec.Register[json.RawMessage](encoding, kind)
	s := goesStore{pool, postgres.NewEventStore(encoding, postgres.Pool(pool)), payload}
	if err := s.store.Connect(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return s, nil
}

// aggregate is the UUID that goes wants in place of a stream's name.
func aggregate(stream string) uuid.UUID { return uuid.NewSHA1(uuid.NameSpaceOID, []byte(stream)) }

func (s goesStore) Append(ctx context.Context, stream string, version, n int) error {
	id, events := aggregate(stream), make([]event.Event, n)
	for i := range events {
		events[i] = event.New[any](kind, s.data, event.Aggregate(id, "order", version+i+1)).Any()
	}
	return s.store.Insert(ctx, events...)
}

func (s goesStore) Load(ctx context.Context, stream string) (int, error) {
	return s.query(ctx, query.New(query.Aggregate("order", aggregate(stream)), query.SortByAggregate()))
}

// All reads in the order of time, the only one that goes has across streams.
func (s goesStore) All(ctx context.Context, _ int) (int, error) {
	return s.query(ctx, query.New(query.SortByTime()))
}

func (s goesStore) query(ctx context.Context, q event.Query) (n int, err error) {
	events, errs, err := s.store.Query(ctx, q)
	if err != nil {
		return 0, err
	}
	for events != nil || errs != nil {
		select {
		case _, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			n++
		case err, ok := <-errs:
			if ok {
				return n, err
			}
			errs = nil
		}
	}
	return n, nil
}

func (s goesStore) Close() error {
	s.pool.Close()
	return nil
}
