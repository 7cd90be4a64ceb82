package redis_test

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/backends/redis"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
	"github.com/necrostack/necrostack/projections/viewtest"
	"github.com/necrostack/necrostack/spine/spinetest"
)

// both is a log that is elsewhere and what is kept of it in Redis, as one backend: what only the log takes goes there.
type both struct {
	kept

	log   *eventstore.Store
	owned bool // the log's store is ours to close
}

// kept is what a store beside a log can do.
type kept interface {
	eventstore.Backend
	eventstore.Waker
	eventstore.Leaser
	eventstore.Controller
	eventstore.Parker
	eventstore.Deliverer
	eventstore.Snapshotter
	eventstore.RowKeeper
}

var _ spinetest.Backend = both{}

func (b both) Commit(ctx context.Context, commits []eventstore.Commit) ([]eventstore.Outcome, error) {
	for _, c := range commits {
		if len(c.Appends)+len(c.Schedules)+len(c.Cancels)+len(c.Unless) > 0 {
			return b.log.Backend().Commit(ctx, commits)
		}
	}
	return b.kept.Commit(ctx, commits)
}

func (b both) Fire(context.Context, int) (int, time.Time, error) { return 0, time.Time{}, nil }

func (b both) Scheduled(context.Context) iter.Seq2[eventstore.Schedule, error] {
	return func(func(eventstore.Schedule, error) bool) {}
}

func (b both) Close() error {
	err := b.kept.Close()
	if b.owned {
		_ = b.log.Close()
	}
	return err
}

// openBeside opens a store beside a log, and closes it when the test ends.
func openBeside(tb testing.TB, log *eventstore.Store, dsn string) *eventstore.Store {
	tb.Helper()
	s, err := redis.OpenBeside(tb.Context(), log, dsn, redis.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// beside opens views in Redis of logs that log opens.
func beside(log func(tb testing.TB) (connect func() *eventstore.Store, owned bool)) spinetest.Harness {
	return spinetest.Harness{Patience: patience, Lease: time.Second, Open: func(tb testing.TB) func() eventstore.Backend {
		tb.Helper()
		connect, owned := log(tb)
		dsn := testenv.Redis(tb).Database(tb)
		return func() eventstore.Backend {
			st := connect()
			views, err := redis.OpenBeside(tb.Context(), st, dsn+"&pool_size=8", redis.Config{})
			if err != nil {
				tb.Fatal(err)
			}
			return both{views.Backend().(kept), st, owned}
		}
	}}
}

func besideMemory() spinetest.Harness {
	return beside(func(tb testing.TB) (func() *eventstore.Store, bool) {
		tb.Helper()
		log := memory.Open(memory.Config{})
		return func() *eventstore.Store { return log }, false
	})
}

func besidePostgres() spinetest.Harness {
	return beside(func(tb testing.TB) (func() *eventstore.Store, bool) {
		tb.Helper()
		dsn := testenv.Postgres(tb).Database(tb)
		return func() *eventstore.Store { return openPostgres(tb, dsn) }, true
	})
}

func openPostgres(tb testing.TB, dsn string) *eventstore.Store {
	tb.Helper()
	st, err := postgres.Open(tb.Context(), dsn, postgres.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	return st
}

func TestViewsBesideMemory(t *testing.T) {
	t.Parallel()
	viewtest.Run(t, besideMemory())
}

func TestBlueGreenBesideMemory(t *testing.T) {
	t.Parallel()
	viewtest.BlueGreen(t, besideMemory())
}

func TestViewsBesidePostgres(t *testing.T) {
	t.Parallel()
	viewtest.Run(t, besidePostgres())
}
