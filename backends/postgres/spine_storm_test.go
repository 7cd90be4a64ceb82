package postgres_test

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/necrostack/necrostack/internal/testenv"
)

// Every process is killed sooner or later, some after they were stopped past their lease; what comes out in the end is
// what comes out when nothing happens. One event that meets three kills in a row would rightly count as poison, so there
// is some progress between two of them.
func TestProcessesKilledAtRandomLeadToWhatAnUndisturbedRunLeadsTo(t *testing.T) {
	t.Parallel()
	b := openBank(t, testenv.Postgres(t).Database(t))
	config := workerConfig{Lease: time.Second}
	random := rand.New(rand.NewPCG(1, 2))
	stop := b.posting()
	defer stop()
	workers := []*worker{b.start(config), b.start(config), b.start(config)}
	var killed, stopped []int
	for done := 0; len(killed) < 32; {
		b.until("they work", func() bool { return b.count("noted") > done+3 })
		done = b.count("noted")
		time.Sleep(time.Duration(random.IntN(100)) * time.Millisecond) // any moment will do
		i := random.IntN(len(workers))
		victim := workers[i]
		if len(killed)%4 == 3 {
			victim.signal(syscall.SIGSTOP)
			stopped = append(stopped, victim.pid())
			time.Sleep(config.Lease + config.Lease/3) // of which only a clock tells
			victim.signal(syscall.SIGCONT)
			time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond) // it may come to something, or not
		}
		victim.crash()
		killed = append(killed, victim.pid())
		workers[i] = b.start(config)
	}
	stop()
	b.settle()
	t.Logf("%d commands; SIGKILL to processes %v, of which were stopped past their lease before: %v", len(b.deposits), killed, stopped)
	for _, w := range workers {
		w.stop()
	}
}
