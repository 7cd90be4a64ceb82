package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/necrostack/necrostack/internal/testenv"
)

// Whatever process of the server dies, by itself or with all others, what was acknowledged is there.

func backendsAreTerminated(t *testing.T) {
	t.Helper()
	dsn := testenv.Postgres(t).Database(t)
	l := startLoad(t, loadConfig{dsn: dsn, commits: loadCommits})
	conn := connection(t, dsn)
	var pids []uint32
	for percent := 5; percent < 95; percent += 5 {
		l.reach(percent)
		// Those that do something now, if there are any.
		rows, err := conn.Query(t.Context(), `SELECT pid FROM (
			SELECT pid, state FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
			ORDER BY state <> 'active', random() LIMIT 3) a WHERE pg_terminate_backend(pid)`)
		if err != nil {
			t.Fatal(err)
		}
		killed, err := pgx.CollectRows(rows, pgx.RowTo[uint32])
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, killed...)
	}
	if len(pids) < 10 {
		t.Errorf("%v are too few", pids)
	}
	l.finish("pg_terminate_backend, pids %v", pids)
}

func serverIsKilled(t *testing.T) {
	t.Helper()
	server := testenv.OwnPostgres(t)
	l := startLoad(t, loadConfig{dsn: server.Database(t), commits: loadCommits})
	var pids []int
	for _, percent := range []int{15, 40, 65} {
		l.reach(percent)
		pids = append(pids, server.Pids(t)[0])
		server.Kill(t)
		server.Start(t)
	}
	l.finish("SIGKILL to the server and all its processes, and a restart, pids %v", pids)
}

func serverIsPaused(t *testing.T) {
	t.Helper()
	server := testenv.OwnPostgres(t)
	l := startLoad(t, loadConfig{dsn: server.Database(t), commits: loadCommits})
	var pauses []string
	for i, percent := range []int{20, 50, 80} {
		l.reach(percent)
		pid := server.Pids(t)[0]
		pause := time.Duration(1+2*i) * 100 * time.Millisecond
		server.Pause(t)
		time.Sleep(pause) // the fault itself
		server.Resume(t)
		pauses = append(pauses, fmt.Sprintf("pid %d for %v", pid, pause))
	}
	l.finish("server paused and resumed, %v", pauses)
}
