package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// reserveConns is how many connections a Backend may open beside its pool: for commits, leases and schedules, and for
// reads when whoever shares the pool holds all of it. They are never held while user code runs, so whoever waits for
// one gets it.
const reserveConns = 4

// reserved makes the pool of those, like the other but for its size.
func reserved(ctx context.Context, pool *pgxpool.Pool) (*pgxpool.Pool, error) {
	cfg := pool.Config()
	cfg.MaxConns, cfg.MinConns, cfg.MinIdleConns = reserveConns, 0, 0
	return pgxpool.NewWithConfig(ctx, cfg)
}

// acquire returns a connection for a read: of the pool, or, when there is none to be had, of the reserve. So a handler
// that holds a connection of the pool may read, even if all handlers do.
func (b *Backend) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	if s := b.pool.Stat(); s.AcquiredConns() < s.MaxConns() {
		soon, cancel := context.WithTimeout(ctx, yielding)
		conn, err := b.pool.Acquire(soon)
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return conn, err
		}
	}
	return b.reserve.Acquire(ctx)
}

// yielding is how long a read waits for the pool when somebody else has just taken its last connection.
const yielding = 100 * time.Millisecond
