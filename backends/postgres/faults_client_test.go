package postgres_test

import (
	"testing"

	"github.com/necrostack/necrostack/internal/testenv"
)

// A process of writers dies in mid-flight. Started again, it reads in its journal what it has sent without knowing what
// became of it, and sends that again before it goes on.
func writersAreKilled(t *testing.T) {
	t.Helper()
	l := startLoad(t, loadConfig{dsn: testenv.Postgres(t).Database(t), commits: loadCommits})
	var pids []int
	for i, percent := range []int{15, 35, 55} {
		l.reach(percent)
		victim := l.writers[i]
		pids = append(pids, victim.pid())
		victim.kill()
		if victim.cmd.ProcessState.Success() {
			t.Error("it had ended before it was killed")
		}
		l.writers[i] = l.spawnWriters(i)
		l.begin(l.writers[i])
	}
	l.finish("SIGKILL to a process of writers, pids %v", pids)
}
