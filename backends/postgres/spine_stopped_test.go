package postgres_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
)

// A process has a commit in its hands, is stopped for longer than its lease, and sends the commit when it wakes up.
// Others have done the work meanwhile.
func TestAProcessStoppedPastItsLeaseChangesNothingWhenItWakes(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"ordered", "competing", "redrive"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := openBank(t, testenv.Postgres(t).Database(t))
			config := workerConfig{Lease: 2 * time.Second}
			if kind == "redrive" {
				b.parkThirteen(config)
			}
			holding := config
			holding.Hold = kind
			sleeper := b.start(holding)
			b.share(sleeper)
			b.post(20)
			if kind == "redrive" {
				if n, err := b.store.Redrive(b.ctx, eventstore.ParkedFilter{}); n != 1 || err != nil {
					t.Fatalf("redrove %d, %v", n, err)
				}
			}
			b.until("it has a commit in its hands", func() bool {
				_, holds := sleeper.reported(func(r workerReport) bool { return r.Holds })
				return holds
			})
			sleeper.signal(syscall.SIGSTOP)
			heir := b.start(config)
			b.share(heir)
			b.settle()
			sleeper.tell("send it")
			sleeper.signal(syscall.SIGCONT)
			b.until("it says what became of its commit", func() bool {
				_, held := sleeper.reported(func(r workerReport) bool { return r.Held })
				return held
			})
			late, _ := sleeper.reported(func(r workerReport) bool { return r.Held })
			t.Logf("process %d was stopped past its lease and went on; its late commit: %s", sleeper.pid(), late.Error)
			if !late.Fenced {
				t.Error("the late commit was not fenced")
			}
			b.share(sleeper, heir)
			b.post(20)
			b.settle()
		})
	}
}

// parkThirteen has the clerk's event 13 parked.
func (b *bank) parkThirteen(config workerConfig) {
	b.Helper()
	config.Broken = true
	w := b.start(config)
	b.post(20)
	b.until("13 is parked, and all else is done", func() bool { return b.count("noted") == 19 && b.count("mailed") == 20 })
	w.stop()
}
