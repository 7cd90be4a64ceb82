package testenv

import (
	"testing"

	"github.com/necrostack/necrostack/internal/testenv/launch"
)

// A Bouncer is PgBouncer in transaction mode in front of a server. It is safe for concurrent use.
type Bouncer struct{ addr string }

// PgBouncer starts PgBouncer in front of a server, for this test alone. It is a process of this machine, which root
// installs by apt if there is none, and it is gone when the test ends.
func PgBouncer(tb testing.TB, server *Server) *Bouncer {
	tb.Helper()
	product, err := launch.PgBouncer(server.DSN())
	if err != nil {
		tb.Fatalf("testenv: %v", err)
	}
	return &Bouncer{own(tb, product, launch.Local).Addr()}
}

// DSN returns a server's DSN with PgBouncer's address in place of the server's.
func (b *Bouncer) DSN(tb testing.TB, dsn string) string {
	tb.Helper()
	through, err := launch.Redirect(dsn, b.addr)
	if err != nil {
		tb.Fatalf("testenv: %v", err)
	}
	return through
}
