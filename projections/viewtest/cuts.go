package viewtest

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
	"github.com/necrostack/necrostack/spine/spinetest"
)

// Cuts has n Spines run Views on a log that h opens, one after the other, and cuts the connection of each at a random
// commit, before or after it is written. Each row is to be what folding the log by plain means comes to. All of it happens
// in one process, for a log in memory would end with its process.
func Cuts(t *testing.T, h spinetest.Harness, n int) {
	t.Helper()
	cuts(spinetest.NewTrial(t, h), n)
}

// partitions of each view: few, so that a commit or two later each of them has moved.
const partitions = 2

func cuts(t *spinetest.Trial, n int) {
	t.Helper()
	const seed = 2
	random := rand.New(rand.NewPCG(seed, seed))
	cut, late, poison := 0, 0, 0
	for range n {
		script(t, random, 20)
		written := random.IntN(2) == 0
		if cutOff(t, int64(1+random.IntN(6)), written) {
			if cut++; written {
				late++
			}
		}
		poison += redrive(t)
	}
	sp := t.Spine(t.Store, spine.Config{MaxSteps: -1}, Views(partitions)...)
	t.Drain(sp)
	for range n { // what waits behind an event may have been announced itself, by processes that then ended
		if len(t.Parked("")) == 0 {
			break
		}
		poison += redrive(t)
		t.Drain(sp)
	}
	for _, p := range t.Parked("") {
		t.Errorf("still parked for %s: %s@%d, redriven: %t, after %+v", p.Consumer, p.Key, p.Position, p.Redriven, p.Failures)
	}
	t.Logf("seed %d: %d of %d Spines cut off, %d of them after their commit was written; %d times an event counted as poison and was redriven; %v",
		seed, cut, n, late, poison, Compare(t.Ctx, t, t.Store))
	if cut < n*9/10 {
		t.Errorf("only %d Spines were cut off", cut)
	}
}

// redrive has all that is parked tried again, and returns how many events there were to blame: what was under way when
// three processes ended counts as poison. Whatever else is parked waits behind one.
func redrive(t *spinetest.Trial) (n int) {
	t.Helper()
	for _, p := range t.Parked("") {
		if p.Redriven || p.Attempts == 0 {
			continue
		}
		switch why := p.Failures[len(p.Failures)-1].Error; {
		case strings.Contains(why, spine.ErrPoison.Error()):
			n++
		case !strings.Contains(why, "the attempt has not ended"): // one that was announced
			t.Fatalf("parked for %q", why)
		}
	}
	if _, err := t.Store.Redrive(t.Ctx, eventstore.ParkedFilter{}); err != nil {
		t.Fatal(err)
	}
	return n
}

// cutOff runs a Spine until its connection is cut at a commit, of which it never learns whether it was written. It reports
// whether there was such a commit.
func cutOff(t *spinetest.Trial, at int64, written bool) bool {
	t.Helper()
	tap := t.Tap()
	tap.OnCommit = func(_ []eventstore.Commit, write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
		if tap.Writes.Load() < at {
			return write()
		}
		if written {
			_, _ = write() // nobody learns of it
		}
		tap.Cut()
		return nil, eventstore.ErrOutcomeUnknown
	}
	ctx, cancel := context.WithCancel(t.Ctx)
	sp := t.Spine(t.Open(tap), spine.Config{MaxSteps: -1, Lease: 100 * time.Millisecond, Grace: 10 * time.Millisecond}, Views(partitions)...)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = sp.Drain(ctx) // it ends when it is told to, or has nothing to do
	}()
	t.Until("its connection is lost, or it is done", func() bool {
		select {
		case <-ended:
			return true
		default:
			return tap.Writes.Load() >= at
		}
	})
	cancel()
	<-ended
	return tap.Writes.Load() >= at
}
