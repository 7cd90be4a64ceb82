package postgres_test

import (
	"testing"

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
	}, Require: storetest.Everything(), Patience: patience})
}
