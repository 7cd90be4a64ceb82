package spinetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func competes() []promise {
	return []promise{
		{"competing workers killed at random lose and double nothing", competingStorm},
		{"a worker that hangs is replaced, and its late answer changes nothing", lateAnswer},
		{"output, acknowledgement and parking are one commit", competingCommits},
		{"a feeder that has lost its lease delivers nothing, and nothing is delivered twice", feederFenced},
		{"an event that fails too often is parked with all its failures", tooOften},
		{"an event whose workers never answer is parked", neverAnswered},
		{"ErrorStore parks, ErrorLog skips, and Park commits its output", competingErrors},
		{"a refused output is delivered again under ErrorNack, until it is parked", competingRefused},
		{"a redriven event is delivered exactly once", redrivenOnce},
		{"a redriven event whose delivery is written unnoticed is delivered once", redrivenUnnoticed},
		{"the window is never exceeded, by no process, nor by redrives", windowHolds},
		{"all history is delivered to a new organ, and processes share it", sharesDeliveries},
		{"a slow handler holds nobody up", slowWorker},
		{"the parts of a split event are handled together, by one worker", competingParts},
		{"Drain waits for deliveries, and returns when the next is due", drainsDeliveries},
		{"Drain ends though the window is full of what is due later", drainsFullWindow},
		{"what is under way when Run is to end is finished", competingFinishes},
		{"what is cut short when Run ends has not failed", competingCutShort},
		{"a conflict is decided again, and is no failure", competingConflicts},
	}
}

// competing is an organ that competes for events of type in.
func competing(name string, handle spine.Handle) Organ {
	o := On(name, "in", handle)
	o.Policy.Delivery, o.Policy.Deadline, o.Policy.Visibility = spine.Competing, time.Second, time.Second
	return o
}

// series appends events that carry the numbers below n.
func (t *Trial) series(n int) {
	t.Helper()
	var in []eventstore.Event
	for i := range n {
		in = append(in, Event(fmt.Sprint("s-", i%10), "in", i))
	}
	t.Put(in...)
}

// wantAll expects that each number below n came out once.
func (t *Trial) wantAll(n int) {
	t.Helper()
	if got := t.copied(); !slices.Equal(got, upTo(n)) {
		t.Errorf("came out %v, want each of %d once", got, n)
	}
}

// window is how many deliveries are not acknowledged.
func (t *Trial) window(organ string) int {
	t.Helper()
	d, _ := t.Store.Backend().(eventstore.Deliverer)
	n, _, err := d.Window(t.Ctx, organ)
	t.must(err)
	return n
}

// competingStorm has processes come and go while handlers fail, panic, hang and are abandoned.
func competingStorm(t *Trial) {
	const n = 400
	random := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex
	chance := func(k int) bool {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(k) == 0
	}
	end := make(chan struct{})
	var abandoned sync.WaitGroup
	t.Cleanup(func() { close(end); abandoned.Wait() })
	o := competing("organ", func(ctx context.Context, in spine.Input) (spine.Output, error) {
		switch {
		case chance(20):
			return spine.Output{}, errors.New("bad luck")
		case chance(40):
			panic("worse")
		case chance(60):
			<-ctx.Done()
			return Copy("copy.", "mid")(ctx, in)
		case chance(80): // ignores that its time is up
			abandoned.Add(1)
			defer abandoned.Done()
			select {
			case <-end:
			case <-time.After(2 * time.Second):
			}
		}
		return Copy("copy.", "mid")(ctx, in)
	})
	o.Policy.Deadline, o.Policy.Visibility = 200*time.Millisecond, max(300*time.Millisecond, t.harness.Lease)
	o.Policy.OnError, o.Policy.MaxDeliveries = spine.ErrorNack, 1000
	o.Policy.Backoff = spine.Backoff{Base: time.Millisecond, Most: 10 * time.Millisecond}
	f := t.fleet()
	f.cfg.Abandoned = 10_000
	for i := range n {
		if i%40 == 0 {
			f.start(0, o)
		}
		t.Put(Event(fmt.Sprint("s-", i%10), "in", i))
		if i%60 == 59 {
			f.mu.Lock()
			for _, p := range f.runs {
				if chance(3) && len(f.runs) > 1 {
					p.tap.Hang()
				}
			}
			f.mu.Unlock()
			f.end(chance(2))
		}
	}
	f.start(0, o)
	t.Until("all is done", func() bool { return len(t.copied()) >= n })
	for len(f.runs) > 0 {
		f.end(true)
	}
	t.drainAll(t.another(f.cfg, o))
	t.wantAll(n)
	t.WantParked("organ")
	if k := t.window("organ"); k != 0 {
		t.Errorf("%d deliveries are left", k)
	}
}

func lateAnswer(t *Trial) {
	for name, late := range map[string]error{"success": nil, "failure": errors.New("late"), "parking": spine.Park(errors.New("late"))} {
		t.Run(name, func(tt *testing.T) {
			tt.Parallel()
			one := NewTrial(tt, t.harness)
			handle, busy, goOn, runs := holding(Copy("copy.", "mid"))
			var first atomic.Bool
			o := competing("organ", func(ctx context.Context, in spine.Input) (spine.Output, error) {
				was := first.CompareAndSwap(false, true)
				out, err := handle(ctx, in)
				if was {
					err = errors.Join(err, late)
				}
				return out, err
			})
			o.Policy.Deadline, o.Policy.Visibility = time.Minute, 100*time.Millisecond
			one.Put(Event("s-1", "in", 1))
			// A policy like this is refused, for handlers would lose their deliveries all the time.
			if _, err := spine.New(one.Store, spine.Config{}, o); err == nil {
				tt.Error("a Visibility below the Deadline is accepted")
			}
			o.Policy.Deadline = 100 * time.Millisecond
			sp := one.another(spine.Config{}, o)
			one.Start(sp)
			<-busy
			one.Until("another has done it", func() bool { return len(one.copied()) == 1 })
			close(goOn)
			one.Until("nobody is abandoned", func() bool { return sp.Stats().Abandoned == 0 })
			one.Drain(one.another(spine.Config{}, o))
			one.wantNothingLeft(runs.Load())
		})
	}
}

func (t *Trial) wantNothingLeft(runs int64) {
	t.Helper()
	t.WantNumbers("copy.s-1", 1)
	t.WantParked("organ")
	if k := t.window("organ"); k != 0 || runs != 2 {
		t.Errorf("%d deliveries are left after %d runs", k, runs)
	}
}

func competingCommits(t *Trial) {
	tap := t.Tap()
	var mu sync.Mutex
	acks, apart := map[uuid.UUID]bool{}, 0
	tap.OnCommit = func(batch []eventstore.Commit, write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
		mu.Lock()
		for _, c := range batch {
			if (len(c.Appends) > 0 || len(c.Parks) > 0) && len(c.Acks) != 1 {
				apart++
			}
			for _, a := range c.Acks {
				acks[a.ID] = true
			}
		}
		mu.Unlock()
		return write()
	}
	o := competing("organ", func(ctx context.Context, in spine.Input) (spine.Output, error) {
		if N(in.Event)%3 == 0 {
			return spine.Output{}, errors.New("no")
		}
		return Copy("copy.", "mid")(ctx, in)
	})
	t.series(30)
	t.Drain(t.Spine(t.Open(tap), spine.Config{}, o))
	if apart > 0 || len(acks) != 30 || len(t.copied()) != 20 || len(t.Parked("organ")) != 10 {
		t.Errorf("%d commits without their acknowledgement, %d acknowledged, %d came out, %d parked", apart, len(acks), len(t.copied()), len(t.Parked("organ")))
	}
}

// feederFenced takes the feeder's lease away while its commit is on its way.
func feederFenced(t *Trial) {
	tap := t.Tap()
	var once, fenced atomic.Bool
	tap.OnCommit = func(batch []eventstore.Commit, write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
		if len(batch[0].Deliveries) == 0 || !once.CompareAndSwap(false, true) {
			return write()
		}
		t.must(t.Store.Pause(t.Ctx, "organ")) // the epoch passes to another
		t.must(t.Store.Resume(t.Ctx, "organ"))
		outcomes, err := write()
		fenced.Store(err == nil && errors.Is(outcomes[0].Err, eventstore.ErrFenced))
		return outcomes, err
	}
	o := competing("organ", Copy("copy.", "mid"))
	t.series(50)
	t.Start(t.Spine(t.Open(tap), spine.Config{}, o))
	t.Start(t.another(spine.Config{}, o))
	t.Until("all is done", func() bool { return len(t.copied()) >= 50 && t.window("organ") == 0 })
	if once.Load() && !fenced.Load() {
		t.Error("a feeder without its lease was not refused")
	}
	t.wantAll(50)
}

// fragile is a handler that fails as long as it is broken.
