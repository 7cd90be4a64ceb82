package testenv

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/necrostack/necrostack/internal/testenv/launch"
)

// Postgres returns the PostgreSQL server that the tests of this process share. The first call starts it.
func Postgres(tb testing.TB) *Server {
	tb.Helper()
	return share(tb, launch.Postgres())
}

// OwnPostgres starts a PostgreSQL server for this test alone, which is removed when it ends. It takes seconds: use it
// to break it, and Postgres for all else.
func OwnPostgres(tb testing.TB) *OwnPostgresServer {
	tb.Helper()
	return &OwnPostgresServer{own(tb, launch.Postgres())}
}

// An OwnPostgresServer is a PostgreSQL server of one test.
type OwnPostgresServer struct{ *OwnServer }

// Dump returns a dump of a database of the server, made by the program that comes with it. Options are more arguments of
// that program.
func (s *OwnPostgresServer) Dump(tb testing.TB, dsn string, options ...string) (dump []byte) {
	tb.Helper()
	s.act(tb, func(ctx context.Context) (err error) {
		dump, err = s.launched.Dump(ctx, dsn, options...)
		return err
	})
	return dump
}

// Restore restores a dump of this server, or of another of its version, into a new database, and returns its DSN.
func (s *OwnPostgresServer) Restore(tb testing.TB, dump []byte) (dsn string) {
	tb.Helper()
	dsn = s.Database(tb)
	s.act(tb, func(ctx context.Context) error { return s.launched.Restore(ctx, dsn, dump) })
	return dsn
}

// Shell runs a command where the server runs, as its user.
func (s *OwnPostgresServer) Shell(tb testing.TB, command string) {
	tb.Helper()
	s.connected(tb, func(ctx context.Context, conn *pgx.Conn) error {
		quoted := strings.ReplaceAll("cat >/dev/null; "+command, "'", "''")
		_, err := conn.Exec(ctx, "COPY (SELECT 1) TO PROGRAM '"+quoted+"'")
		return err
	})
}

// ask scans the only row that a statement returns.
func (s *OwnPostgresServer) ask(tb testing.TB, statement string, to ...any) {
	tb.Helper()
	s.connected(tb, func(ctx context.Context, conn *pgx.Conn) error { return conn.QueryRow(ctx, statement).Scan(to...) })
}

func (s *OwnPostgresServer) connected(tb testing.TB, act func(context.Context, *pgx.Conn) error) {
	tb.Helper()
	ctx, cancel := within(tb, acting)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DSN())
	if err == nil {
		err = act(ctx, conn)
		conn.Close(ctx) //nolint:errcheck // the outcome is known by then
	}
	if err != nil {
		tb.Fatalf("testenv: %v", err)
	}
}
