package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
)

// Appends that roll back leave neither gaps nor events, and nobody sees them meanwhile.
func transactionsRollBack(t *testing.T) {
	t.Helper()
	dsn := testenv.Postgres(t).Database(t)
	l := startLoad(t, loadConfig{dsn: dsn, commits: loadCommits, calm: true})
	appends := newRollbacks(t, dsn)
	table := connection(t, dsn)
	execute(t, table, "CREATE TABLE own (n bigint)")
	appended, inserted := 0, 0
	for ; !l.over(); appended += 3 {
		r, err := appends.Append(t.Context(), "shared-1", eventstore.Any, rolledBack{}, rolledBack{})
		if err != nil || r.Position == 0 {
			t.Fatalf("the append that is to be rolled back: %v, %v", r, err)
		}
		for _, constraints := range []string{"DEFERRED", "IMMEDIATE"} { // before it has positions, and after
			rollBack(t, table, l.store, constraints)
			inserted++
		}
	}
	if appended == 0 {
		t.Fatal("nothing was rolled back")
	}
	l.finish("%d appends rolled back, %d of them with rows of another table, on connection %d", appended, inserted, table.PgConn().PID())
}

// rollBack has a transaction of its own append, and roll back.
func rollBack(t *testing.T, conn *pgx.Conn, s *eventstore.Store, constraints string) {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, inserts := tx.Exec(t.Context(), "INSERT INTO own SELECT generate_series(1, 10)")
	appends := postgres.AppendTx(t.Context(), tx, s, "shared-1", eventstore.Any, rolledBack{}, rolledBack{})
	_, decides := tx.Exec(t.Context(), "SET CONSTRAINTS ALL "+constraints)
	if err := errors.Join(inserts, appends, decides, tx.Rollback(t.Context())); err != nil {
		t.Fatal(err)
	}
}

type rolledBack struct{}

func (rolledBack) EventType() string { return "rolled back" }

// newRollbacks returns a store whose commits succeed, and are rolled back then: each call runs within a transaction
// that ends with its connection.
func newRollbacks(t *testing.T, dsn string) *eventstore.Store {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.MaxConns = 2
	begin := false // the store's own set-up is not part of it
	cfg.PrepareConn = func(ctx context.Context, conn *pgx.Conn) (bool, error) {
		if !begin {
			return true, nil
		}
		_, err := conn.Exec(ctx, "BEGIN")
		return true, err
	}
	p, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	s, err := postgres.OpenPool(t.Context(), p, postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	begin = true
	return s
}

// A transaction that has begun before others, and ends long after them, holds no reader up.
func oldTransaction(inAnotherDatabase bool) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		server := testenv.Postgres(t)
		dsn := server.Database(t)
		l := startLoad(t, loadConfig{dsn: dsn, commits: loadCommits, calm: true})
		l.reach(10)
		where := "the same database"
		if inAnotherDatabase {
			dsn, where = server.Database(t), "another database of the server"
		}
		conn := connection(t, dsn)
		execute(t, conn, "CREATE TABLE own (n bigint)")
		execute(t, conn, "BEGIN ISOLATION LEVEL REPEATABLE READ")
		execute(t, conn, "INSERT INTO own VALUES (1)")
		var xid string
		if err := conn.QueryRow(t.Context(), "SELECT pg_current_xact_id()::text").Scan(&xid); err != nil {
			t.Fatal(err)
		}
		// It is open until the last reader has come to the end.
		l.finish("transaction %s is open in %s, on connection %d", xid, where, conn.PgConn().PID())
		var still string
		if err := conn.QueryRow(t.Context(), "SELECT pg_current_xact_id()::text").Scan(&still); err != nil || still != xid {
			t.Errorf("transaction %s was not open all the time: %s, %v", xid, still, err)
		}
		execute(t, conn, "COMMIT")
	}
}

// connection is closed when the test ends.
func connection(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func execute(t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", statement, err))
	}
}
