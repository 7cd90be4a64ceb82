package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
)

// Appends that roll back leave neither gaps nor events, and nobody sees them meanwhile.
func transactionsRollBack(t *testing.T) {
	t.Helper()
	dsn := testenv.Postgres(t).Database(t)
	l := startLoad(t, loadConfig{dsn: dsn, commits: loadCommits, calm: true})
	const at = 4 // once
	var running sync.WaitGroup
	var appended atomic.Int64
	var pids []uint32
	execute(t, connection(t, dsn), "CREATE TABLE own (n bigint)")
	for range at {
		conn := connection(t, dsn)
		pids = append(pids, conn.PgConn().PID())
		running.Go(func() {
			for ; !l.over() && !t.Failed(); appended.Add(2) {
				// Each is decided by the log before it is rolled back, or as it would be at the end.
				for _, constraints := range []string{"DEFERRED", "IMMEDIATE"} {
					if err := rollBack(t.Context(), conn, l.store, constraints); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	running.Wait()
	if appended.Load() < 2*at {
		t.Error("too little was rolled back")
	}
	l.finish("%d appends rolled back, with rows of another table, on connections %v", appended.Load(), pids)
}

// rollBack has a transaction of its own append, and roll back.
func rollBack(ctx context.Context, conn *pgx.Conn, s *eventstore.Store, constraints string) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	_, inserts := tx.Exec(ctx, "INSERT INTO own SELECT generate_series(1, 10)")
	appends := postgres.AppendTx(ctx, tx, s, "shared-1", eventstore.Any, rolledBack{}, rolledBack{})
	_, decides := tx.Exec(ctx, "SET CONSTRAINTS ALL "+constraints)
	return errors.Join(inserts, appends, decides, tx.Rollback(ctx))
}

type rolledBack struct{}

func (rolledBack) EventType() string { return "rolled back" }

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
