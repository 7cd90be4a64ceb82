package postgres_test

import (
	"testing"
	"time"

	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/eventstore/storetest"
	"github.com/necrostack/necrostack/internal/testenv"
)

// pgBouncerOption is what docs/postgres-pgbouncer.md has users add to a DSN.
const pgBouncerOption = "&default_query_exec_mode=cache_describe"

func TestBackendThroughPgBouncer(t *testing.T) {
	t.Parallel()
	server := testenv.Postgres(t)
	bouncer := testenv.PgBouncer(t, server)
	storetest.Run(t, storetest.Harness{Open: func(tb testing.TB) func() eventstore.Backend {
		tb.Helper()
		dsn := bouncer.DSN(tb, server.Database(tb)) + pgBouncerOption
		return func() eventstore.Backend {
			b, err := postgres.New(tb.Context(), pool(tb, dsn), postgres.Config{})
			if err != nil {
				tb.Fatal(err)
			}
			return b
		}
	}, Require: storetest.Everything(), Patience: 5 * time.Minute})
}

// Processes that have nothing but PgBouncer between them and the server share and hand over partitions as others do.
func TestProcessesShareAndHandOverThroughPgBouncer(t *testing.T) {
	t.Parallel()
	server := testenv.Postgres(t)
	direct := server.Database(t)
	b := openBank(t, direct)
	config := workerConfig{Lease: 5 * time.Second, DSN: testenv.PgBouncer(t, server).DSN(t, direct) + pgBouncerOption}
	workers := []*worker{b.start(config), b.start(config), b.start(config)}
	b.share(workers...)
	b.post(100)
	workers[0].stop()
	b.share(workers[1:]...)
	workers[1].crash()
	t.Logf("SIGKILL to process %d", workers[1].pid())
	b.post(100)
	b.share(workers[2])
	b.settle()
}
