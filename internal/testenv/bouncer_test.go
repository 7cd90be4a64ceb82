package testenv_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/necrostack/necrostack/internal/testenv"
)

// Two clients have one connection of the server between them, and so what belongs to a session is nobody's own.
func TestPgBouncerLendsConnectionsForOneTransaction(t *testing.T) {
	t.Parallel()
	server := testenv.Postgres(t)
	dsn := testenv.PgBouncer(t, server).DSN(t, server.Database(t))
	a, b := connect(t, dsn), connect(t, dsn)
	var first, second int
	if err := a.QueryRow(t.Context(), "SELECT pg_backend_pid()", pgx.QueryExecModeExec).Scan(&first); err != nil {
		t.Fatal(err)
	}
	if err := b.QueryRow(t.Context(), "SELECT pg_backend_pid()", pgx.QueryExecModeExec).Scan(&second); err != nil {
		t.Fatal(err)
	}
	if first != second {
		t.Errorf("the server's processes %d and %d serve two clients that take turns, want one", first, second)
	}
}
