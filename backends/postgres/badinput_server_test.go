package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
	"github.com/necrostack/necrostack/migrations"
)

func openLog(t *testing.T, dsn string) *eventstore.Store {
	t.Helper()
	st, err := postgres.Open(t.Context(), dsn, postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

// appends appends one event, in a time that is long enough for anything.
func appends(t *testing.T, st *eventstore.Store) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := st.Append(ctx, "s-1", eventstore.Any, happened{})
	return err
}

// heads checks how many events there are.
func heads(t *testing.T, st *eventstore.Store, want eventstore.Position) {
	t.Helper()
	if head, err := st.Head(t.Context()); err != nil || head != want {
		t.Errorf("the head is %d, %v, want %d", head, err, want)
	}
}

func TestAReadOnlyServerRefusesRetryablyUntilItIsWritable(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t).Database(t)
	st, admin := openLog(t, dsn), connection(t, testenv.Postgres(t).DSN())
	name := connection(t, dsn).Config().Database
	if err := appends(t, st); err != nil {
		t.Fatal(err)
	}
	// What is set of a database counts for new connections.
	reconnect := "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + name + "'"
	execute(t, admin, "ALTER DATABASE "+name+" SET default_transaction_read_only = on; "+reconnect)
	awaitState(t, func() bool {
		err := appends(t, st)
		return err != nil && !errors.Is(err, eventstore.ErrOutcomeUnknown) && strings.Contains(err.Error(), "default_transaction_read_only is on") &&
			eventstore.IsRetryable(err)
	}, "commits are refused, retryably, and it says why")
	if said, err := opens(t, dsn, postgres.Config{}); err != nil || !strings.Contains(said, "default_transaction_read_only=on") {
		t.Errorf("open: %s, %v, want a warning", said, err)
	}
	awaitState(t, func() bool { // its first connection may be one of those that were ended
		h, err := postgres.CheckHealth(t.Context(), st)
		return err == nil && h.ReadOnly && !h.InRecovery && h.Head == 1
	}, "health says that it is read-only")
	if err := migrations.Up(t.Context(), connection(t, dsn).Config(), "another"); err != nil {
		t.Errorf("a transaction that asks for it may write, so that migrations may: %v", err)
	}
	execute(t, admin, "ALTER DATABASE "+name+" RESET default_transaction_read_only; "+reconnect)
	awaitState(t, func() bool { return appends(t, st) == nil }, "commits are taken again")
}

// awaitState waits for what nothing announces.
func awaitState(t *testing.T, so func() bool, what string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so: %s", what)
		}
	}
}

func TestACommitThatMeetsAStatementTimeoutIsNotWrittenAndIsRetryable(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t).Database(t)
	conn := connection(t, dsn)
	execute(t, conn, "ALTER DATABASE "+conn.Config().Database+" SET statement_timeout = '3s'")
	st := openLog(t, dsn)
	if err := appends(t, st); err != nil {
		t.Fatal(err)
	}
	execute(t, conn, "BEGIN; SET LOCAL search_path = necrostack, pg_temp; SELECT lock_log()") // somebody holds the log's lock
	err := appends(t, st)
	if err == nil || !eventstore.IsRetryable(err) || errors.Is(err, eventstore.ErrOutcomeUnknown) || !strings.Contains(err.Error(), "statement timeout") {
		t.Errorf("error is %v, want a retryable one that names the timeout", err)
	}
	heads(t, st, 1)
	execute(t, conn, "ROLLBACK")
	if err := appends(t, st); err != nil {
		t.Error(err)
	}
	heads(t, st, 2)
}

func TestAPoolThatOthersHoldAllOf(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t).Database(t)
	cfg, err := pgxpool.ParseConfig(dsn + "&pool_max_conns=2")
	if err != nil {
		t.Fatal(err)
	}
	p, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	st, err := postgres.OpenPool(t.Context(), p, postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		conn, err := p.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Release() //nolint:gocritic // two, until the test ends
	}
	if err := appends(t, st); err != nil { // there is a reserve
		t.Errorf("append: %v", err)
	}
	heads(t, st, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = postgres.OpenPool(ctx, p, postgres.Config{})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "all 2 connections of the pool are in use") {
		t.Errorf("open: error is %v, want one that names the pool", err)
	}
	h, err := postgres.CheckHealth(ctx, st)
	if err == nil || !strings.Contains(err.Error(), "all 2 connections of the pool are in use") || h.Pool.InUse != 2 || h.Pool.Max != 2 || h.Reachable {
		t.Errorf("health %+v, %v, want one that names the pool", h, err)
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
}

func TestAStoreOutlivesTheDeathOfItsServer(t *testing.T) {
	t.Parallel()
	server := testenv.OwnPostgres(t)
	st := openLog(t, server.Database(t)+"&connect_timeout=5")
	if err := appends(t, st); err != nil {
		t.Fatal(err)
	}
	server.Kill(t)
	begun := time.Now()
	for range 8 { // all connections of the pool have to find out
		if err := appends(t, st); err == nil || !eventstore.IsRetryable(err) {
			t.Fatalf("error is %v, want one that may be retried", err)
		}
	}
	if _, err := st.Head(t.Context()); err == nil || !eventstore.IsRetryable(err) {
		t.Errorf("a read's error is %v, want one that may be retried", err)
	}
	if h, err := postgres.CheckHealth(t.Context(), st); err == nil || h.Reachable || h.Server != server.Addr() || !strings.Contains(err.Error(), server.Addr()) {
		t.Errorf("health %+v, %v, want that %s cannot be reached", h, err, server.Addr())
	}
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("it took %v to say so", took)
	}
	server.Start(t)
	awaitState(t, func() bool { return appends(t, st) == nil }, "the same store commits again")
	versions := 0
	for e, err := range st.Read(t.Context(), eventstore.All(), eventstore.Range{}) {
		versions++
		if err != nil || e.Position != eventstore.Position(versions) {
			t.Fatalf("event %d is at %d, %v", versions, e.Position, err)
		}
	}
	if versions < 2 {
		t.Errorf("%d events are there, want those of before and after", versions)
	}
}

func TestHealthTellsWhatCanBeSeenAndNoSecret(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t).Database(t)
	const schema = `odd "name`
	st, err := postgres.Open(t.Context(), dsn, postgres.Config{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if err := appends(t, st); err != nil {
		t.Fatal(err)
	}
	h, err := postgres.CheckHealth(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	cfg := connection(t, dsn).Config()
	if !h.Reachable || h.Server != addressOf(cfg) || h.Version == "" || h.Latency <= 0 || h.Schema != schema || h.SchemaVersion != migrations.Latest() ||
		h.Head != 1 || h.ReadOnly || h.InRecovery || h.Pool.Max == 0 || h.Pool.Open == 0 || !h.Durability.FullPageWrites || h.Durability.SynchronousCommit != "on" {
		t.Errorf("health is %+v", h)
	}
	if warned := strings.Contains(strings.Join(h.Warnings, " "), "fsync=off"); warned == h.Durability.Fsync {
		t.Errorf("fsync is %t, and the warnings are %q", h.Durability.Fsync, h.Warnings)
	}
	if strings.Contains(fmt.Sprintf("%+v", h), cfg.Password) {
		t.Error("it holds the password")
	}
}
