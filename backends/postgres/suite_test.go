package postgres_test

import (
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/eventstore/storetest"
	"github.com/necrostack/necrostack/internal/testenv"
	"go.uber.org/goleak"
)

// patience is for a test of a busy machine; what it waits for takes seconds, or a minute or two.
const patience = 15 * time.Minute

func TestMain(m *testing.M) {
	if program := os.Getenv(programVariable); program != "" {
		os.Exit(runProgram(program))
	}
	goleak.VerifyTestMain(testenv.Main(m))
}

// open makes a log in a database of its own. Every connection is a backend with a pool of its own.
func open(tb testing.TB) func() eventstore.Backend {
	tb.Helper()
	dsn := testenv.Postgres(tb).Database(tb)
	return func() eventstore.Backend {
		b, err := postgres.New(tb.Context(), pool(tb, dsn), postgres.Config{})
		if err != nil {
			tb.Fatal(err)
		}
		return b
	}
}

// pool is closed when the test ends: a suite closes its backends before.
func pool(tb testing.TB, dsn string) *pgxpool.Pool {
	tb.Helper()
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		tb.Fatal(err)
	}
	cfg.MaxConns = 6
	p, err := pgxpool.NewWithConfig(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Close)
	return p
}

func TestBackend(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Harness{Open: open, Require: storetest.Everything(), Patience: patience})
}
