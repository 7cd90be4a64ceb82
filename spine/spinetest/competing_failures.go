package spinetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func tooOften(t *Trial) {
	var runs atomic.Int64
	o := competing("organ", func(context.Context, spine.Input) (spine.Output, error) {
		return spine.Output{}, fmt.Errorf("failure %d", runs.Add(1))
	})
	o.Policy.OnError, o.Policy.MaxDeliveries, o.Policy.Backoff = spine.ErrorNack, 3, spine.Backoff{Base: time.Millisecond, Most: 5 * time.Millisecond}
	t.series(1)
	t.drainAll(t.another(spine.Config{}, o))
	p := t.Parked("organ")
	if len(p) != 1 || runs.Load() != 3 || len(p[0].Failures) != 3 || !p[0].Due.IsZero() {
		t.Fatalf("after %d runs parked are %+v, want one entry with 3 failures", runs.Load(), p)
	}
	for i, f := range p[0].Failures {
		if want := fmt.Sprint("failure ", i+1); f.Error != want {
			t.Errorf("failure %d is %q, want %q", i, f.Error, want)
		}
	}
}

func neverAnswered(t *Trial) {
	const most = 2
	o := competing("organ", func(context.Context, spine.Input) (spine.Output, error) {
		t.Error("the handler runs")
		return spine.Output{}, nil
	})
	o.Policy.MaxDeliveries = most
	t.Drain(t.another(spine.Config{}, o))
	t.deliver("organ", t.Put(Event("s-1", "in", 1)))
	d, _ := t.Store.Backend().(eventstore.Deliverer)
	for range most { // and nobody comes back
		taken, err := d.Take(t.Ctx, "organ", eventstore.Taking{Limit: 1, Visibility: time.Millisecond})
		if err != nil || len(taken) != 1 {
			t.Fatalf("took %v, %v", taken, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Drain(t.another(spine.Config{}, o))
	if p := t.Parked("organ"); len(p) != 1 || len(p[0].Failures) != 1 || t.window("organ") != 0 {
		t.Errorf("parked are %+v", p)
	}
}

func competingErrors(t *Trial) {
	t.series(9)
	for name, mode := range map[string]spine.OnError{"store": spine.ErrorStore, "log": spine.ErrorLog, "nack": spine.ErrorNack} {
		o := competing(name, func(_ context.Context, in spine.Input) (spine.Output, error) {
			switch n := N(in.Event); {
			case n%3 == 1:
				return Out(Event(name+"-refused", "out", n)), spine.Park(errors.New("refused"))
			case n%3 == 2 && mode != spine.ErrorNack:
				return Out(Event(name+"-failed", "out", n)), errors.New("failed")
			}
			return Out(Event(name+"-done", "out", N(in.Event))), nil
		})
		o.Policy.OnError = mode
		t.drainAll(t.another(spine.Config{}, o))
		want := map[spine.OnError]int{spine.ErrorStore: 6, spine.ErrorLog: 0, spine.ErrorNack: 3}[mode]
		if n := len(t.Parked(name)); n != want {
			t.Errorf("%s: %d are parked, want %d", name, n, want)
		}
		refused := t.Numbers(name + "-refused")
		slices.Sort(refused)
		if !slices.Equal(refused, []int{1, 4, 7}) || len(t.Numbers(name+"-failed")) > 0 || t.window(name) > 0 {
			t.Errorf("%s: of refused ones came out %v, of failed ones %v", name, refused, t.Numbers(name+"-failed"))
		}
	}
}

func competingRefused(t *Trial) {
	var runs atomic.Int64
	o := competing("organ", func(_ context.Context, in spine.Input) (spine.Output, error) {
		if runs.Add(1) < 3 {
			return Out(Event("", "nameless", 1)), nil
		}
		return Out(Event("copy.s-1", "mid", N(in.Event))), nil
	})
	o.Policy.OnError, o.Policy.Backoff = spine.ErrorNack, spine.Backoff{Base: time.Millisecond, Most: time.Millisecond}
	t.series(1)
	t.drainAll(t.another(spine.Config{}, o))
	t.WantNumbers("copy.s-1", 0)
	t.WantParked("organ")
	if runs.Load() != 3 {
		t.Errorf("the handler ran %d times", runs.Load())
	}
}

func fragile() (handle spine.Handle, broken *atomic.Bool) {
	broken = new(atomic.Bool)
	broken.Store(true)
	return func(ctx context.Context, in spine.Input) (spine.Output, error) {
		if broken.Load() {
			return spine.Output{}, errors.New("broken")
		}
		return Copy("copy.", "mid")(ctx, in)
	}, broken
}

func redrivenOnce(t *Trial) {
	handle, broken := fragile()
	o := competing("organ", handle)
	t.series(40)
	t.Start(t.another(spine.Config{}, o))
	t.Start(t.another(spine.Config{}, o))
	t.Until("all are parked", func() bool { return len(t.Parked("organ")) == 40 })
	for range 2 { // in vain, the first time
		var operators sync.WaitGroup
		for range 3 {
			operators.Go(func() {
				if _, err := t.Store.Redrive(t.Ctx, eventstore.ParkedFilter{Consumer: "organ"}); err != nil {
					t.Error(err)
				}
			})
		}
		operators.Wait()
		t.Until("all are tried", func() bool {
			waits := slices.ContainsFunc(t.Parked("organ"), func(p eventstore.Parked) bool { return p.Redriven })
			return !waits && t.window("organ") == 0 // in this order: from there they go into the window
		})
		broken.Store(false)
	}
	t.Until("all are done", func() bool { return len(t.copied()) >= 40 })
	t.drainAll(t.another(spine.Config{}, o))
	t.WantParked("organ")
	t.wantAll(40)
}

func redrivenUnnoticed(t *Trial) {
	for name, d := range map[string]disturbance{"fails": fails, "vanishes": vanishes, "unnoticed": unnoticed} {
		t.Run(name, func(tt *testing.T) {
			tt.Parallel()
			one := NewTrial(tt, t.harness)
			handle, broken := fragile()
			o := competing("organ", handle)
			one.series(2)
			one.Drain(one.another(spine.Config{}, o))
			broken.Store(false)
			if n, err := one.Store.Redrive(one.Ctx, eventstore.ParkedFilter{}); n != 2 || err != nil {
				tt.Fatalf("redrove %d, %v", n, err)
			}
			tap := one.Tap()
			var times atomic.Int64
			tap.OnCommit = func(_ []eventstore.Commit, write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
				if times.Add(1)%2 == 1 && times.Load() < 10 {
					return d(write)
				}
				return write()
			}
			one.drainAll(one.Spine(one.Open(tap), spine.Config{}, o))
			one.wantAll(2)
			one.WantParked("organ")
		})
	}
}

func competingCutShort(t *Trial) {
	t.Put(Event("s-1", "in", 1))
	for name, mode := range map[string]spine.OnError{"store": spine.ErrorStore, "log": spine.ErrorLog, "nack": spine.ErrorNack} {
		busy := make(chan struct{}, 1)
		var runs atomic.Int64
		o := competing(name, func(ctx context.Context, in spine.Input) (spine.Output, error) {
			if runs.Add(1) == 1 {
				busy <- struct{}{}
				<-ctx.Done()
				return spine.Output{}, ctx.Err()
			}
			return Out(Event(name+"-1", "mid", N(in.Event))), nil
		})
		o.Policy.OnError, o.Policy.MaxDeliveries = mode, 2
		ctx, cancel := context.WithCancel(t.Ctx)
		done := make(chan error)
		// A Spine with so little grace may not come to say that it leaves; its lease ends soon, then.
		cfg := spine.Config{Grace: time.Millisecond, Lease: 300 * time.Millisecond}
		go func() { done <- t.another(cfg, o).Run(ctx) }()
		<-busy
		cancel()
		t.must(<-done)
		t.WantParked(name)
		t.drainAll(t.another(spine.Config{}, o))
		t.WantNumbers(name+"-1", 1)
	}
}

func competingConflicts(t *Trial) {
	o := competing("organ", func(_ context.Context, in spine.Input) (spine.Output, error) {
		v := eventstore.Version(len(t.Numbers("count-1")))
		out := Out(Event("count-1", "mid", N(in.Event)))
		if out.Commit.Appends[0].Expect = eventstore.NoStream; v > 0 {
			out.Commit.Appends[0].Expect = eventstore.Exact(v)
		}
		return out, nil
	})
	o.Policy.Deadline, o.Policy.Visibility = time.Minute, time.Minute // this is not about time
	t.series(60)
	sp := t.another(spine.Config{Conflicts: 10_000}, o)
	t.Drain(sp)
	t.wantAll(60)
	t.WantParked("organ")
	if st := sp.Stats(); st.Failed > 0 || st.Processed != 60 {
		t.Errorf("stats are %+v", st)
	}
}
