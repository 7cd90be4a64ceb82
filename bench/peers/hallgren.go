package peers

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/hallgren/eventsourcing/core"
	eventsql "github.com/hallgren/eventsourcing/eventstore/sql"
)

func hallgren() Peer {
	return Peer{Name: "hallgren/eventsourcing", Checks: true, Loads: true, Table: "events", Open: openHallgren}
}

type hallgrenStore struct {
	db    *sql.DB
	store *eventsql.Postgres
	data  []byte
}

func openHallgren(_ context.Context, dsn string, size int, payload []byte) (Store, error) {
	db, err := sqlPool(dsn, size)
	if err != nil {
		return nil, err
	}
	store, err := eventsql.NewPostgres(db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return hallgrenStore{db, store, payload}, nil
}

func (s hallgrenStore) Append(_ context.Context, stream string, version, n int) error {
	events := make([]core.Event, n)
	for i := range events {
		events[i] = core.Event{
			AggregateID: stream, AggregateType: "order", Version: core.Version(version + i + 1), //nolint:gosec // never negative
			Timestamp: time.Now(), Reason: kind, Data: s.data, Metadata: []byte("{}"),
		}
	}
	return s.store.Save(events)
}

func (s hallgrenStore) Load(ctx context.Context, stream string) (int, error) {
	return countHallgren(s.store.Get(ctx, stream, "order", 0))
}

func (s hallgrenStore) All(context.Context, int) (int, error) { return countHallgren(s.store.All(0)()) }

func countHallgren(it core.Iterator, err error) (n int, _ error) {
	if err != nil {
		return 0, err
	}
	defer it.Close()
	for it.Next() {
		if _, err := it.Value(); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (s hallgrenStore) Close() error { return s.db.Close() }
