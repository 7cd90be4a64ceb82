package spine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
	"github.com/necrostack/necrostack/spine/spinetest"
)

// nacking is an organ that fails a number so many times, each attempt at a known time.
type nacking struct {
	mu    sync.Mutex
	at    []time.Time
	bad   int // a number
	fails int // so often
	final error
}

func (n *nacking) organ() spinetest.Organ {
	o := spinetest.On("organ", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
		n.mu.Lock()
		defer n.mu.Unlock()
		if spinetest.N(in.Event) == n.bad {
			if n.at = append(n.at, time.Now()); len(n.at) <= n.fails {
				return spine.Output{}, errors.New("not yet")
			}
			if n.final != nil {
				return spinetest.Out(spinetest.Event("final-1", "mid", 0)), spine.Park(n.final)
			}
		}
		return spinetest.Copy("copy.", "mid")(ctx, in)
	})
	o.Policy = spine.Policy{
		Partitions: 1, OnError: spine.ErrorNack, Retry: spine.Retry{Attempts: 2, Base: 10 * time.Millisecond},
		Backoff: spine.Backoff{Base: time.Minute, Most: 5 * time.Minute}, MaxDeliveries: 8,
	}
	return o
}

// tried are the times of the attempts.
func (n *nacking) tried() []time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.at
}

// wantBackoff checks the times of the attempts: a quick one, then 1, 2, 4, 5, 5 … minutes, each from half to all of that.
func (n *nacking) wantBackoff(t *spinetest.Trial, attempts int) {
	t.Helper()
	at := n.tried()
	if len(at) != attempts {
		t.Fatalf("the handler ran %d times, want %d", len(at), attempts)
	}
	waits := []time.Duration{10 * time.Millisecond, time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 5 * time.Minute, 5 * time.Minute}
	for i := 1; i < attempts; i++ {
		most := waits[i-1]
		if d := at[i].Sub(at[i-1]); d < most/2 || d > most+50*time.Millisecond {
			t.Errorf("attempt %d came after %s, want %s … %s", i+1, d, most/2, most)
		}
	}
}

func TestNackBacksOffWhileItsKeyWaitsAndNothingElseDoes(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *spinetest.Trial) {
		n := nacking{bad: 1, fails: 6}
		stop := t.Start(t.Spine(t.Store, spine.Config{Lease: time.Minute}, n.organ()))
		t.Put(spinetest.Event("a-1", "in", 1))
		for i := range 100 {
			time.Sleep(15 * time.Second)
			t.Put(spinetest.Event("b-1", "in", 1000+i), spinetest.Event("a-1", "in", 2+i))
			time.Sleep(time.Second)
			if got := len(t.Numbers("copy.b-1")); got != i+1 {
				t.Fatalf("%d events of another key are done, want %d", got, i+1)
			}
			if got := len(t.Numbers("copy.a-1")); len(n.tried()) < 7 && got > 0 || len(n.tried()) == 7 && got != i+2 {
				t.Fatalf("after %d attempts %d events of its key are done", len(n.tried()), got)
			}
		}
		n.wantBackoff(t, 7)
		t.WantNumbers("copy.a-1", t.Numbers("a-1")...)
		t.WantParked("organ")
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestNackEndsAfterMaxDeliveries(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *spinetest.Trial) {
		n := nacking{bad: 1, fails: 100}
		sp := t.Spine(t.Store, spine.Config{}, n.organ())
		stop := t.Start(sp)
		t.Put(spinetest.Event("a-1", "in", 1), spinetest.Event("a-1", "in", 2))
		time.Sleep(time.Hour)
		n.wantBackoff(t, 8)
		if err := stop(); err != nil {
			t.Error(err)
		}
		t.WantParked("organ", "a-1@1!", "a-1@2")
		if p := t.Parked("organ")[0]; p.Attempts != 8 || len(p.Failures) != 8 || !p.Due.IsZero() {
			t.Errorf("the entry is %+v", p)
		}
		if next := t.Drain(sp); !next.IsZero() {
			t.Errorf("Drain says that something is due at %s", next)
		}
		n.fails = 8 // nobody runs
		if _, err := t.Store.Redrive(t.Ctx, eventstore.ParkedFilter{}); err != nil {
			t.Fatal(err)
		}
		t.Drain(sp)
		t.WantNumbers("copy.a-1", 1, 2)
	})
}

func TestNackSurvivesRestartsAndDrainSaysWhenItIsDue(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *spinetest.Trial) {
		n := nacking{bad: 1, fails: 5}
		t.Put(spinetest.Event("a-1", "in", 1), spinetest.Event("a-1", "in", 2))
		for range 4 {
			sp := t.Spine(t.Store, spine.Config{}, n.organ())
			next := t.Drain(sp)
			p := t.Parked("organ")[0]
			if !next.Equal(p.Due) || !next.After(time.Now()) || len(p.Failures) != len(n.tried()) {
				t.Fatalf("Drain says %s, the entry is %+v after %d attempts", next, p, len(n.tried()))
			}
			runs := len(n.tried())
			time.Sleep(time.Until(next) - time.Millisecond)
			if again := t.Drain(sp); !again.Equal(next) || len(n.tried()) != runs {
				t.Errorf("before it is due Drain returned %s after %d attempts", again, len(n.tried())-runs)
			}
			time.Sleep(2 * time.Millisecond)
		}
		if next := t.Drain(t.Spine(t.Store, spine.Config{}, n.organ())); !next.IsZero() {
			t.Errorf("in the end Drain returned %s", next)
		}
		n.wantBackoff(t, 6)
		t.WantNumbers("copy.a-1", 1, 2)
	})
}

func TestNackIsEndedByPark(t *testing.T) {
	t.Parallel()
	for _, fails := range []int{0, 1, 3} {
		virtual(t, func(t *spinetest.Trial) {
			n := nacking{bad: 1, fails: fails, final: errors.New("hopeless")}
			stop := t.Start(t.Spine(t.Store, spine.Config{Lease: time.Minute}, n.organ()))
			t.Put(spinetest.Event("a-1", "in", 1))
			time.Sleep(time.Hour)
			if err := stop(); err != nil {
				t.Error(err)
			}
			if p := t.Parked("organ"); len(p) != 1 || len(n.tried()) != fails+1 || !p[0].Due.IsZero() {
				t.Errorf("after %d attempts parked are %+v", len(n.tried()), p)
			}
			t.WantNumbers("final-1", 0)
		})
	}
}

func TestNackRedrivenBeforeItIsDueIsTriedAtOnce(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *spinetest.Trial) {
		n := nacking{bad: 1, fails: 2}
		stop := t.Start(t.Spine(t.Store, spine.Config{Lease: time.Hour}, n.organ()))
		t.Put(spinetest.Event("a-1", "in", 1), spinetest.Event("a-1", "in", 2))
		time.Sleep(time.Second)
		if _, err := t.Store.Redrive(t.Ctx, eventstore.ParkedFilter{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		t.WantNumbers("copy.a-1", 1, 2)
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestRedrivenHandlerThatIgnoresItsDeadlineChangesNothing gives a handler up on redrive, and lets it return later.
func TestRedrivenHandlerThatIgnoresItsDeadlineChangesNothing(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *spinetest.Trial) {
		hold := make(chan struct{})
		var runs atomic.Int64 // of both
		o := spinetest.On("organ", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
			run := runs.Add(1)
			switch run {
			case 1:
				return spine.Output{}, errors.New("not yet")
			case 2:
				<-hold
			}
			return spinetest.Copy(fmt.Sprint("copy", min(run, 3), "."), "mid")(ctx, in)
		})
		o.Policy.Deadline = time.Second
		sp := t.Spine(t.Store, spine.Config{}, o)
		t.Put(spinetest.Event("a-1", "in", 1), spinetest.Event("a-1", "in", 2))
		t.Drain(sp)
		redrive := func() {
			t.Helper()
			if n, err := t.Store.Redrive(t.Ctx, eventstore.ParkedFilter{}); n == 0 || err != nil {
				t.Fatalf("Redrive returned %d, %v", n, err)
			}
			t.Drain(sp)
		}
		redrive()
		t.WantParked("organ", "a-1@1!", "a-1@2")
		if p := t.Parked("organ")[0]; p.Attempts != 2 || p.Failures[1].Error != spine.ErrDeadline.Error()+", and ignores it" {
			t.Errorf("the entry is %+v", p)
		}
		redrive()
		state := t.State()
		close(hold)
		synctest.Wait()
		if got := t.State(); got != state || sp.Stats().Abandoned != 0 {
			t.Errorf("when the handler has returned at last, the log is\n%s\nwant\n%s", got, state)
		}
		t.WantNumbers("copy3.a-1", 1, 2)
		t.WantNumbers("copy2.a-1")
	})
}
