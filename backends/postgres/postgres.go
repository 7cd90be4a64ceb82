// Package postgres keeps a log in PostgreSQL, from version 15, with jackc/pgx.
//
// Commits are put into order by one advisory lock, which is never held while the server waits for a client: a whole
// batch is one message. So positions have no gaps, conditions are decided exactly, and no other transaction
// on the server can hold readers up. The tables and functions are in package migrations.
package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/signal"
)

// Config of a postgres store. The zero value works.
type Config struct {
	Schema          string       // one log. Defaults to "necrostack"
	ManualMigration bool         // the schema is created and upgraded by others, see package migrations
	Logger          *slog.Logger // hears of settings that endanger the log. Defaults to discarding
	Store           eventstore.Config
}

// Backend is a log in a schema of a PostgreSQL database: an eventstore.Backend with every optional interface. It is
// safe for concurrent use, by any number of processes.
type Backend struct {
	pool    *pgxpool.Pool // for reads
	owned   bool          // the pool is ours to close
	reserve *pgxpool.Pool // for whatever must not wait for those who hold all of the pool
	log     string        // its schema
	schema  string        // the same before a name
	wake    signal.Signal // something may have been committed
	known   known
	news    news
	shapes  sync.Map // of queries: *statements by source.text

	stageSQL string
	moveSQL  string
}

var (
	_ eventstore.Backend     = (*Backend)(nil)
	_ eventstore.Prompt      = (*Backend)(nil)
	_ eventstore.Waker       = (*Backend)(nil)
	_ eventstore.Leaser      = (*Backend)(nil)
	_ eventstore.Controller  = (*Backend)(nil)
	_ eventstore.Scheduler   = (*Backend)(nil)
	_ eventstore.Parker      = (*Backend)(nil)
	_ eventstore.Deliverer   = (*Backend)(nil)
	_ eventstore.Snapshotter = (*Backend)(nil)
	_ eventstore.RowKeeper   = (*Backend)(nil)
)

// Open connects by a URL or a keyword DSN, creates or upgrades the schema unless cfg says otherwise, and opens the
// store. Close the store to disconnect. A server that is starting up, or is not there, is tried again for some seconds;
// one that does not answer is given up after connect_timeout, which defaults to ten seconds. Errors never hold the
// password.
func Open(ctx context.Context, dsn string, cfg Config) (*eventstore.Store, error) {
	pool, err := connect(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("open postgres: %w", err)
	}
	b, err := New(ctx, pool, cfg)
	if err != nil {
		pool.Close()
		return nil, err
	}
	b.owned = true
	return eventstore.New(b, cfg.Store), nil
}

// OpenPool is Open on the caller's pool, which stays the caller's to close.
func OpenPool(ctx context.Context, pool *pgxpool.Pool, cfg Config) (*eventstore.Store, error) {
	b, err := New(ctx, pool, cfg)
	if err != nil {
		return nil, err
	}
	return eventstore.New(b, cfg.Store), nil
}

// New makes a backend on a pool, for tests that wrap it.
func New(ctx context.Context, pool *pgxpool.Pool, cfg Config) (*Backend, error) {
	if cfg.Schema == "" {
		cfg.Schema = "necrostack"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if len(cfg.Schema) > 63 {
		return nil, fmt.Errorf("open postgres: %w", &eventstore.InvalidError{Field: "schema", Reason: "is longer than 63 bytes"})
	}
	if err := eventstore.CheckName("schema", cfg.Schema); err != nil {
		return nil, fmt.Errorf("open postgres: %w", err)
	}
	if err := prepare(ctx, pool, cfg); err != nil {
		return nil, fmt.Errorf("open postgres: %w", err)
	}
	reserve, err := reserved(ctx, pool)
	if err != nil {
		return nil, fmt.Errorf("open postgres: %w", err)
	}
	b := &Backend{pool: pool, reserve: reserve, log: cfg.Schema, schema: pgx.Identifier{cfg.Schema}.Sanitize() + "."}
	b.news.init(b, cfg.Schema)
	b.moveSQL = b.sql("SELECT @move_checkpoints($1, $2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::bigint[])")
	b.stageSQL = b.sql("INSERT INTO @staged (" + batchColumns + ") VALUES (" + params(1) + ")")
	return b, nil
}

// Close implements eventstore.Backend.
func (b *Backend) Close() error {
	b.news.close()
	b.reserve.Close()
	if b.owned {
		b.pool.Close()
	}
	return nil
}

// sql puts the schema before every name that begins with "@".
func (b *Backend) sql(text string) string { return strings.ReplaceAll(text, "@", b.schema) }
