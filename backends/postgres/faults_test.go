package postgres_test

import (
	"testing"

	"github.com/necrostack/necrostack/internal/testenv"
)

// TestFaults has 16 writers in 4 processes commit several events at once, to several streams, and readers follow, while
// one fault after the other comes about. Then no event may be skipped, doubled or inverted, and everything that was
// acknowledged must be there, once.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, f := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"none", withoutFault},
		{"transactions roll back", transactionsRollBack},
		{"an old transaction is open in the same database", oldTransaction(false)},
		{"an old transaction is open in another database", oldTransaction(true)},
		{"backends are terminated", backendsAreTerminated},
		{"the server is killed", serverIsKilled},
		{"the server is paused", serverIsPaused},
		{"connections are cut in mid-commit", connectionsAreCut},
		{"the answer to a commit is lost", answerIsLost},
		{"the network is slow", networkIsSlow},
		{"writers are killed", writersAreKilled},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			f.run(t)
		})
	}
}

func withoutFault(t *testing.T) {
	t.Helper()
	l := startLoad(t, loadConfig{dsn: testenv.Postgres(t).Database(t), commits: loadCommits, calm: true})
	l.finish("none")
}
