package peers

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
)

func necrostack() Peer {
	return Peer{Name: "necrostack", Checks: true, Loads: true, Table: "necrostack.events", Open: openNecrostack}
}

type necrostackStore struct {
	pool  *pgxpool.Pool
	store *eventstore.Store
	data  []byte
}

func openNecrostack(ctx context.Context, dsn string, size int, payload []byte) (Store, error) {
	pool, err := pgxPool(ctx, dsn, size)
	if err != nil {
		return nil, err
	}
	store, err := postgres.OpenPool(ctx, pool, postgres.Config{})
	if err != nil {
		pool.Close()
		return nil, err
	}
	return necrostackStore{pool, store, payload}, nil
}

func (s necrostackStore) Append(ctx context.Context, stream string, version, n int) (err error) {
	events := make([]eventstore.Event, n)
	for i := range events {
		events[i] = eventstore.Event{Type: kind, Data: s.data}
		if events[i].ID, err = uuid.NewV7(); err != nil {
			return err
		}
	}
	_, err = s.store.Commit(ctx, eventstore.Commit{Appends: []eventstore.Append{
		{Stream: eventstore.Stream(stream), Expect: eventstore.Exact(eventstore.Version(version)), Events: events},
	}})
	return err
}

func (s necrostackStore) Load(ctx context.Context, stream string) (int, error) {
	return s.read(ctx, eventstore.InStream(eventstore.Stream(stream)))
}

func (s necrostackStore) All(ctx context.Context, _ int) (int, error) {
	return s.read(ctx, eventstore.All())
}

func (s necrostackStore) read(ctx context.Context, q eventstore.Query) (n int, err error) {
	for _, err := range s.store.Read(ctx, q, eventstore.Range{}) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (s necrostackStore) Close() error {
	err := s.store.Close()
	s.pool.Close()
	return err
}
