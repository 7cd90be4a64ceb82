package spinetest

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func formerFenced(t *Trial) {
	for _, v := range []version{{parts: 2}, {parts: 4, keys: 1}, {parts: 4, types: []string{"in", "new"}}, {competing: true}} {
		one := NewTrial(t.T, t.harness)
		var outdated atomic.Bool
		cfg := spine.Config{Observers: []spine.Observer{Watch(func(o spine.Observation) {
			if o.Step == spine.Redefined && o.Err != nil {
				outdated.Store(true)
			}
		})}}
		handle, busy, goOn, runs := holding(Copy("copy.", "copied"))
		old := version{parts: 4}
		old.handle = func(spine.Handle) spine.Handle { return handle }
		one.Put(Event("s-1", "in", 1))
		sp := one.another(cfg, old.organ())
		stop := one.Start(sp)
		<-busy
		one.Start(one.another(spine.Config{}, v.organ()))
		one.Until("the new one has done it", func() bool { return len(one.Numbers("copy.s-1")) == 1 })
		one.Until("the old one knows", outdated.Load)
		close(goOn)
		one.Until("its lanes end", func() bool { return lanes(sp, "organ") == 0 })
		one.must(stop())
		one.Put(Event("s-1", "in", 2))
		one.Until("the new one goes on", func() bool { return len(one.Numbers("copy.s-1")) == 2 })
		one.WantNumbers("copy.s-1", 1, 2)
		if runs.Load() != 1 {
			t.Errorf("the old handler ran %d times", runs.Load())
		}
	}
}

func takenBack(t *Trial, middle bool) {
	t.unevenly()
	hold := make(chan struct{})
	old, now := version{parts: 4}, version{parts: 3}
	if middle {
		now.handle = func(h spine.Handle) spine.Handle {
			return func(ctx context.Context, in spine.Input) (spine.Output, error) {
				<-hold
				return h(ctx, in)
			}
		}
	}
	f := t.fleet()
	f.start(1, now.organ())
	if middle {
		t.Until("the change has begun", func() bool { return t.consumers()[0].Next != "" })
	} else {
		t.Until("the change is made", func() bool { return f.isDefined(now) })
	}
	f.start(0, old.organ())
	t.Put(Event("s-1", "in", 1))
	time.Sleep(fast.Lease)
	if f.isDefined(old) {
		t.Error("the older program has pushed the newer one out")
	}
	time.AfterFunc(2*fast.Grace, func() { close(hold) })
	f.end(true)
	t.Put(Event("s-2", "in", 2))
	t.Until("the older program is back", func() bool { return f.isDefined(old) })
	t.Done("organ")
	t.wantRest()
	f.end(false)
}

type held struct {
	*Tap
	hold atomic.Bool
}

func (h *held) Renew(ctx context.Context, m eventstore.Member, ttl time.Duration) ([]eventstore.Roster, error) {
	for h.hold.Load() {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return h.Tap.Renew(ctx, m, ttl)
}

func comesBackOnce(t *Trial) {
	f := t.fleet()
	f.start(0, parts(4))
	t.Until("it runs", func() bool { return f.isDefined(version{parts: 4}) })
	f.start(1, parts(3))
	t.Until("the deploy is made", func() bool { return f.isDefined(version{parts: 3}) })
	p := f.runs[1]
	delete(f.runs, 1)
	t.must(p.stop())
	t.Until("it is taken back", func() bool { return f.isDefined(version{parts: 4}) })
	t.Until("it is run again", func() bool { return len(t.Roster("organ").Members) > 0 })
	b := &held{Tap: t.Tap()}
	b.hold.Store(true)
	stop := t.Start(t.Spine(t.Open(b), fast, parts(2)))
	t.Until("the next deploy is made", func() bool { return f.isDefined(version{parts: 2}) })
	at := t.Roster("organ").Generation
	time.Sleep(fast.Lease / 2)
	if r := t.Roster("organ"); r.Generation != at {
		t.Errorf("the older program has pushed it out: %+v", t.consumers())
	}
	b.hold.Store(false)
	t.Put(Event("s-1", "in", 1))
	t.Done("organ")
	t.must(stop())
}

func staysOut(t *Trial) {
	for _, old := range []version{{}, {parts: 3}} {
		one := NewTrial(t.T, t.harness)
		f := one.fleet()
		now := version{parts: 5, keys: 1, types: []string{"in", "new"}}
		f.start(0, old.organ())
		one.Until("it runs", func() bool { return len(one.Roster("organ").Members) > 0 })
		f.start(1, now.organ())
		one.Until("the deploy is made", func() bool { return f.isDefined(now) })
		at := one.Roster("organ").Generation
		for range 3 {
			one.Put(Event("s-1", "in", 1), Event("s-1", "new", 2))
			f.start(0, old.organ())
			one.Done("organ")
		}
		time.Sleep(fast.Lease)
		if r := one.Roster("organ"); r.Generation != at || len(r.Members) != 1 {
			t.Errorf("members %v run generation %d, want 1 and %d", r.Members, r.Generation, at)
		}
		one.WantNumbers("copy.s-1", 1, 2, 1, 2, 1, 2)
	}
}

func changeCarriedOn(t *Trial) {
	t.unevenly()
	hold, busy := make(chan struct{}), make(chan struct{}, 100)
	defer close(hold)
	now := version{parts: 7, keys: 1}
	stuck := now
	stuck.handle = func(spine.Handle) spine.Handle {
		return func(context.Context, spine.Input) (spine.Output, error) {
			busy <- struct{}{}
			<-hold
			return spine.Output{}, errors.New("too late")
		}
	}
	tap := t.Tap()
	t.Start(t.Spine(t.Open(tap), fast, stuck.organ()))
	<-busy
	tap.Cut()
	if c := t.consumers()[0]; c.Until != 40 || c.Partitions != 4 {
		t.Errorf("the change has come to %+v", c)
	}
	p := t.Put(Event("s-1", "in", 1)).Position
	sp := t.another(fast, now.organ())
	t.Start(sp)
	t.must(sp.WaitFor(t.Ctx, "organ", p)) // begins in the middle of the change
	if c := t.consumers()[0]; c.Next != "" || c.Partitions != 7 || c.Keys != 1 {
		t.Errorf("it is defined as %+v", c)
	}
	t.wantRest()
}

func formerWorker(t *Trial) {
	old := competing("organ", Copy("copy.", "mid"))
	b := &held{Tap: t.Tap()}
	stop := t.Start(t.Spine(t.Open(b), spine.Config{Lease: time.Hour}, old))
	t.Until("it runs", func() bool { return len(t.Roster("organ").Members) == 1 })
	b.hold.Store(true)
	now := competing("organ", Copy("copy.", "mid"))
	now.Listens = eventstore.OfType("in", "new")
	now.Policy.Workers = 1
	f := t.fleet()
	f.start(1, now)
	t.Until("it is deployed", func() bool { return t.Roster("organ").Generation == 2 })
	for i := range 50 {
		t.Put(Event("s-1", []string{"in", "new"}[i%2], i))
	}
	t.Until("all is done", func() bool { return len(t.copied()) == 50 })
	t.drainAll(t.another(fast, now))
	if got := t.copied(); !slices.Equal(got, upTo(50)) {
		t.Errorf("came out %v", got)
	}
	b.hold.Store(false)
	t.must(stop())
}
