package peers

import (
	"context"
	"database/sql"
	"errors"

	"github.com/DeluxeOwl/chronicle/event"
	"github.com/DeluxeOwl/chronicle/eventlog"
	"github.com/DeluxeOwl/chronicle/version"
)

func chronicle() Peer {
	return Peer{Name: "DeluxeOwl/chronicle", Checks: true, Loads: true, Table: "chronicle_events", Open: openChronicle}
}

type chronicleStore struct {
	db   *sql.DB
	log  *eventlog.Postgres
	data []byte
}

func openChronicle(_ context.Context, dsn string, size int, payload []byte) (Store, error) {
	db, err := sqlPool(dsn, size)
	if err != nil {
		return nil, err
	}
	log, err := eventlog.NewPostgres(db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return chronicleStore{db, log, payload}, nil
}

func (s chronicleStore) Append(ctx context.Context, stream string, v, n int) error {
	events := make(event.RawEvents, n)
	for i := range events {
		events[i] = event.NewRaw(kind, s.data)
	}
	_, err := s.log.AppendEvents(ctx, event.LogID(stream), version.CheckExact(v), events) //nolint:gosec // never negative
	return err
}

func (s chronicleStore) Load(ctx context.Context, stream string) (n int, err error) {
	for _, err := range s.log.ReadEvents(ctx, event.LogID(stream), version.SelectFromBeginning) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (s chronicleStore) All(ctx context.Context, _ int) (n int, err error) {
	for _, err := range s.log.ReadAllEvents(ctx, version.SelectFromBeginning) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (s chronicleStore) Close() error { return s.db.Close() }
