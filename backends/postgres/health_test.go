package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
)

func TestHealthWarnsOfSettingsThatEndangerTheLog(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t).Database(t)
	conn := connection(t, dsn)
	execute(t, conn, "ALTER DATABASE "+pgx.Identifier{conn.Config().Database}.Sanitize()+" SET synchronous_commit = off")
	h, err := postgres.CheckHealth(t.Context(), openStore(t, dsn))
	if err != nil || h.Durability.SynchronousCommit != "off" || !strings.Contains(fmt.Sprint(h.Warnings), "synchronous_commit=off") {
		t.Errorf("got %+v, %v", h, err)
	}
}

func TestHealthSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t).Database(t)
	st := openStore(t, dsn)
	execute(t, connection(t, dsn), "DROP SCHEMA necrostack CASCADE")
	h, err := postgres.CheckHealth(t.Context(), st)
	if err == nil || !strings.Contains(err.Error(), "is the schema migrated?") || !h.Reachable || h.Version == "" {
		t.Errorf("of a schema that is gone: %+v, %v", h, err)
	}
	other := memory.Open(memory.Config{})
	defer other.Close()
	if _, err := postgres.CheckHealth(t.Context(), other); err == nil || !strings.Contains(err.Error(), "not on PostgreSQL") {
		t.Errorf("of a log in memory: %v", err)
	}
}

// A server that takes connections and never answers is named by whoever gives it up, the DSN or the context.
func TestOpenNamesAServerThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	server := testenv.Postgres(t)
	proxy := testenv.NewProxy(t, server.Addr())
	proxy.HalfOpen(testenv.ToServer)
	dsn := proxy.DSN(t, server.DSN())
	if _, err := postgres.Open(t.Context(), dsn+"&connect_timeout=1", postgres.Config{}); err == nil || !strings.Contains(err.Error(), proxy.Addr()) {
		t.Errorf("within a second: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err := postgres.Open(ctx, dsn, postgres.Config{})
	if !errors.Is(err, context.DeadlineExceeded) || !eventstore.IsRetryable(err) || !strings.Contains(err.Error(), proxy.Addr()) {
		t.Errorf("until its context ends: %v", err)
	}
}
