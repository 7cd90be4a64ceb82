package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/necrostack/necrostack/eventstore"
)

// Health is what can be seen of a log from here. It holds no secrets.
type Health struct {
	Reachable  bool          // the server has answered; if not, only Server and Pool are known
	Server     string        // host:port, or the path of a socket
	Version    string        // of the server, such as "17.5"
	Latency    time.Duration // of one question and its answer, on a connection that is open
	InRecovery bool          // it is a hot standby
	ReadOnly   bool          // it refuses to write: a standby, or default_transaction_read_only is on
	Durability Durability
	Warnings   []string // what in these settings endangers the log; Open logs the same

	Schema        string
	SchemaVersion uint // as the server has it now, which a newer program may have raised
	Head          eventstore.Position
	Pool          Pool
}

// Durability is what a server does so that a commit outlives a crash.
type Durability struct {
	Fsync                   bool
	FullPageWrites          bool
	SynchronousCommit       string
	SynchronousStandbyNames string // empty: a commit waits for no standby
}

// Pool counts the connections of the store's pool.
type Pool struct {
	Max, Open, InUse, Idle int
	Waited                 int64         // how often somebody had to wait for one, since the pool was made
	WaitedFor              time.Duration // all of them together
}

// CheckHealth asks the server of a store that Open or OpenPool has opened. The error says what is wrong if anything is;
// what was seen until then is returned with it. It takes a connection of the pool, and waits for one as long as ctx
// lasts.
func CheckHealth(ctx context.Context, store *eventstore.Store) (h Health, err error) {
	b, ok := store.Backend().(*Backend)
	if !ok {
		return h, fmt.Errorf("check health: the store is on a %T, not on PostgreSQL", store.Backend())
	}
	h.Schema = strings.ReplaceAll(strings.TrimSuffix(b.schema, `".`)[1:], `""`, `"`)
	cfg := b.pool.Config().ConnConfig
	_, h.Server = pgconn.NetworkAddress(cfg.Host, cfg.Port)
	h.Pool = poolOf(b.pool.Stat())
	if err := b.examine(ctx, &h); err != nil {
		return h, fmt.Errorf("check health of schema %q at %s: %w", h.Schema, h.Server, classify(err))
	}
	return h, nil
}

func poolOf(s *pgxpool.Stat) Pool {
	return Pool{
		Max: int(s.MaxConns()), Open: int(s.TotalConns()), InUse: int(s.AcquiredConns()), Idle: int(s.IdleConns()),
		Waited: s.EmptyAcquireCount(), WaitedFor: s.EmptyAcquireWaitTime(),
	}
}

// examine fills in what the server says.
func (b *Backend) examine(ctx context.Context, h *Health) error {
	conn, err := acquire(ctx, b.pool)
	if err != nil {
		return err
	}
	defer conn.Release()
	s, err := inspect(ctx, conn.Conn())
	if err != nil {
		return err
	}
	h.Reachable, h.Server, h.Version, h.InRecovery, h.ReadOnly = true, s.address, s.version, s.recovery, s.readOnly
	h.Durability, h.Warnings = s.durability, s.warnings()
	begun := time.Now()
	if _, err := conn.Exec(ctx, "SELECT 1", pgx.QueryExecModeExec); err != nil {
		return err
	}
	h.Latency = time.Since(begun)
	return conn.QueryRow(ctx, b.sql("SELECT (SELECT version FROM @schema_migrations), (SELECT coalesce(max(position), 0) FROM @events)"),
		pgx.QueryExecModeExec).Scan(&h.SchemaVersion, &h.Head)
}
