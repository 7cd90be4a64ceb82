// Package peers puts the event stores of other projects, and ours, behind one small interface, so that they can be
// measured side by side. Each is used as its authors mean it to be: at the level of its event store, with payloads that
// are encoded already.
package peers

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// A Store is an event store in an empty database of its own.
type Store interface {
	// Append appends n events to a stream that has version events, each with the store's payload, in one transaction.
	Append(ctx context.Context, stream string, version, n int) error
	// Load reads a stream and returns how many events it has.
	Load(ctx context.Context, stream string) (int, error)
	// All reads all events in the store's own order and returns how many there are; want is how many there should be.
	All(ctx context.Context, want int) (int, error)
	Close() error
}

// A Peer is a project whose event store is measured.
type Peer struct {
	Name   string
	Checks bool   // it refuses an append that expects another version
	Table  string // that holds a row for each event
	Loads  bool   // it can read a single stream
	Sips   bool   // it reads message by message, and a small log suffices

	// Open prepares a store on at most pool connections.
	Open func(ctx context.Context, dsn string, pool int, payload []byte) (Store, error)
}

// All lists ours first.
func All() []Peer {
	return []Peer{necrostack(), hallgren(), chronicle(), goes(), watermillSQL()}
}

// kind is the type of all events.
const kind = "order submitted"

// pgxPool opens a pool of pgx.
func pgxPool(ctx context.Context, dsn string, size int) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns, cfg.MinConns = int32(size), int32(size) //nolint:gosec // 64 at most
	return pgxpool.NewWithConfig(ctx, cfg)
}

// sqlPool opens a pool of database/sql on pgx. It keeps connections open that are idle, as its default does not.
func sqlPool(dsn string, size int) (*sql.DB, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db, nil
}
