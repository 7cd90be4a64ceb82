package postgres_test

import (
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
	"github.com/necrostack/necrostack/spine"
)

// Every process is killed sooner or later, some after they were stopped past their lease; what comes out in the end is
// what comes out when nothing happens. An event that is under way at three kills counts as poison, rightly, for nobody can
// tell that it is not to blame. It is parked, and so is what comes behind it; redriven, all of it is done, in order.
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
	n := b.redrivePoison(func() bool {
		return b.count("noted") >= len(b.deposits) && b.count("mailed") >= len(b.deposits) && b.at("ledgers_v1")
	})
	b.settle()
	t.Logf("%d events counted as poison", n)
	t.Logf("%d commands; SIGKILL to processes %v, of which were stopped past their lease before: %v", len(b.deposits), killed, stopped)
	for _, w := range workers {
		w.stop()
	}
}

// redrivePoison has what was parked tried again until all is done and nothing parked, and returns how many events were to
// blame.
// Nothing else than being under way when processes ended may have been the reason.
func (b *bank) redrivePoison(done func() bool) (n int) {
	b.Helper()
	b.until("all is done but what is parked, and that is redriven", func() bool {
		poison, left := false, 0
		for p, err := range b.store.Parked(b.ctx, eventstore.ParkedFilter{}) {
			if err != nil {
				return false // next time
			}
			if left++; p.Redriven || p.Attempts == 0 || len(p.Failures) == 0 {
				continue // it is under way, or behind another
			}
			switch why := p.Failures[len(p.Failures)-1].Error; {
			case strings.Contains(why, spine.ErrPoison.Error()):
				poison = true
				n++
			case !strings.Contains(why, "the attempt has not ended: it is under way, or its process is gone"): // an attempt that was announced
				b.Fatalf("parked for %q", why)
			}
		}
		if poison {
			if _, err := b.store.Redrive(b.ctx, eventstore.ParkedFilter{}); err != nil {
				b.Fatal(err)
			}
		}
		return left == 0 && done()
	})
	return n
}
