package postgres_test

import (
	"testing"
	"time"

	"github.com/necrostack/necrostack/internal/testenv"
)

// Processes that have nothing but PgBouncer between them and the server share and hand over partitions as others do.
func TestProcessesShareAndHandOverThroughPgBouncer(t *testing.T) {
	t.Parallel()
	server := testenv.Postgres(t)
	direct := server.Database(t)
	b := openBank(t, direct)
	config := workerConfig{Lease: 5 * time.Second, DSN: testenv.PgBouncer(t, server).DSN(t, direct) + pgBouncerOption}
	workers := []*worker{b.start(config), b.start(config), b.start(config)}
	b.share(workers...)
	b.post(100)
	workers[0].stop()
	b.share(workers[1:]...)
	workers[1].crash()
	t.Logf("SIGKILL to process %d", workers[1].pid())
	b.post(100)
	b.share(workers[2])
	b.settle()
}
