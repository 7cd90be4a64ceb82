package testenv

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/necrostack/necrostack/internal/testenv/launch"
)

// A Server is one that tests use. It is safe for concurrent use.
type Server struct {
	launched *launch.Server
	shared   bool
}

// DSN returns the server's address and its administrator, with the password: it is no text for a log.
func (s *Server) DSN() string { return s.launched.DSN }

// Addr returns where the server listens: host:port, or the path of a Unix socket if somebody else's server has one.
func (s *Server) Addr() string { return s.launched.Addr }

// Database creates an empty database of a new name and returns its DSN. When the test ends, the database is gone, even
// if connections to it are open. On a Redis server it is a log: see Redis.
func (s *Server) Database(tb testing.TB) string {
	tb.Helper()
	product, name := s.launched.Product, databaseName(tb.Name())
	ctx, cancel := within(tb, acting)
	defer cancel()
	dsn, err := product.Create(ctx, s.launched.DSN, name)
	if err != nil {
		tb.Fatalf("testenv: creating a database: %v", err)
	}
	if s.shared { // a test's own server goes with all that it has, and may not answer any more
		tb.Cleanup(func() {
			ctx, cancel := within(tb, acting)
			defer cancel()
			if err := product.Drop(ctx, s.launched.DSN, name); err != nil {
				tb.Errorf("testenv: %v", err)
			}
		})
	}
	return dsn
}

// databaseName returns a name that no other database has, and that shows which test it belongs to. It is short enough
// for every product, and needs no quotes where names are typed.
func databaseName(test string) string {
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(test))
	return plain[:min(len(plain), 36)] + "_" + strings.ToLower(rand.Text())
}

// An OwnServer is a server of one test, which may break it. Its faults are not safe for concurrent use, and each returns
// when it has come about.
type OwnServer struct{ Server }

// Kill ends all of the server's processes by SIGKILL. What was committed is there again after Start.
func (s *OwnServer) Kill(tb testing.TB) {
	tb.Helper()
	tb.Logf("testenv: SIGKILL to %s, process %d", s.Addr(), s.Pids(tb)[0])
	s.act(tb, s.launched.Kill)
}

// Stop has the server end in good order, without waiting for its clients.
func (s *OwnServer) Stop(tb testing.TB) {
	tb.Helper()
	s.act(tb, s.launched.Stop)
}

// Start starts a server that was killed or stopped, at the same address and with its data, and waits until it answers.
func (s *OwnServer) Start(tb testing.TB) {
	tb.Helper()
	s.act(tb, s.launched.Start)
}

// Pause freezes all of the server's processes: connections stay open, and nothing answers.
func (s *OwnServer) Pause(tb testing.TB) {
	tb.Helper()
	s.act(tb, s.launched.Pause)
}

// Resume ends a pause.
func (s *OwnServer) Resume(tb testing.TB) {
	tb.Helper()
	s.act(tb, s.launched.Resume)
}

// Pids returns the server's processes, the one that started the others first. In Docker they are numbered as its
// engine's machine sees them.
func (s *OwnServer) Pids(tb testing.TB) []int {
	tb.Helper()
	var pids []int
	s.act(tb, func(ctx context.Context) (err error) {
		pids, err = s.launched.Pids(ctx)
		return err
	})
	return pids
}

func (s *OwnServer) act(tb testing.TB, do func(context.Context) error) {
	tb.Helper()
	ctx, cancel := within(tb, acting)
	defer cancel()
	if err := do(ctx); err != nil {
		tb.Fatalf("testenv: %v", err)
	}
}
