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

func windowHolds(t *Trial) {
	const most, n = 7, 150
	handle, broken := fragile()
	o := competing("organ", handle)
	o.Policy.Window, o.Policy.Workers = most, 3
	var exceeded atomic.Int64
	var spines []*spine.Spine
	for range 3 {
		tap := t.Tap()
		tap.OnCommit = func(_ []eventstore.Commit, write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
			outcomes, err := write()
			// Not in the test's goroutine, and the last commits come when the test has ended.
			if k, _, err := tap.Window(context.WithoutCancel(t.Ctx), "organ"); err != nil {
				t.Errorf("look at the window: %v", err)
			} else if k > most {
				exceeded.Store(int64(k))
			}
			return outcomes, err
		}
		spines = append(spines, t.Spine(t.Open(tap), spine.Config{}, o))
		t.Start(spines[len(spines)-1])
	}
	t.series(n)
	t.Until("all are parked", func() bool { return len(t.Parked("organ")) == n })
	broken.Store(false)
	if _, err := t.Store.Redrive(t.Ctx, eventstore.ParkedFilter{}); err != nil {
		t.Error(err)
	}
	t.series(n)
	t.Until("all are done", func() bool { return len(t.copied()) >= 2*n })
	if k := exceeded.Load(); k > 0 {
		t.Errorf("the window of %d held %d", most, k)
	}
	if got := len(t.copied()); got != 2*n {
		t.Errorf("%d came out, want %d", got, 2*n)
	}
}

func sharesDeliveries(t *Trial) {
	t.series(100)
	var by [2]atomic.Int64
	meet := make(chan struct{})
	for i := range by {
		o := competing("organ", func(ctx context.Context, in spine.Input) (spine.Output, error) {
			if by[i].Add(1) == 1 { // none goes on before each has one
				select {
				case meet <- struct{}{}:
				case <-meet:
				case <-ctx.Done():
				}
			}
			return Copy("copy.", "mid")(ctx, in)
		})
		o.Policy.Workers, o.Policy.Deadline, o.Policy.Visibility = 2, time.Second, time.Second
		t.Start(t.another(spine.Config{}, o))
	}
	t.Until("all is done", func() bool { return len(t.copied()) >= 100 })
	t.wantAll(100)
	if by[0].Load() == 0 || by[1].Load() == 0 {
		t.Errorf("the work was shared as %d, %d", by[0].Load(), by[1].Load())
	}
}

func slowWorker(t *Trial) {
	handle, busy, goOn, _ := holding(Copy("copy.", "mid"))
	o := competing("organ", handle)
	o.Policy.Deadline, o.Policy.Visibility, o.Policy.Workers = time.Minute, time.Minute, 2
	t.series(100)
	t.Start(t.another(spine.Config{}, o))
	<-busy
	t.Until("all others are done", func() bool { return len(t.copied()) == 99 })
	close(goOn)
	t.Until("it is done, too", func() bool { return len(t.copied()) == 100 })
}

func competingParts(t *Trial) {
	cfg := eventstore.Config{Upcasters: []eventstore.Upcaster{{
		Type: "pair", From: 1, Into: []string{"left", "right"},
		Up: func(old eventstore.Raw) ([]eventstore.Raw, error) {
			return []eventstore.Raw{{Type: "left", Data: old.Data}, {Type: "right", Data: old.Data}}, nil
		},
	}}}
	var failed atomic.Int64
	o := competing("organ", func(_ context.Context, in spine.Input) (spine.Output, error) {
		if n := N(in.Event); in.Type == "right" && n%2 == 1 && failed.Add(1) <= 20 {
			return spine.Output{}, errors.New("not the right one")
		}
		return Out(Event("out-"+in.Type, "mid", N(in.Event))), nil
	})
	o.Listens = eventstore.OfType("left", "right")
	o.Policy.OnError, o.Policy.Backoff = spine.ErrorNack, spine.Backoff{Base: time.Millisecond, Most: time.Millisecond}
	tap := t.Tap()
	var apart atomic.Int64
	tap.OnCommit = func(batch []eventstore.Commit, write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
		for _, c := range batch {
			if n := len(c.Appends); n != 0 && (n != 2 || c.Appends[0].Stream == c.Appends[1].Stream) {
				apart.Add(1)
			}
		}
		return write()
	}
	for i := range 20 {
		t.Put(Event("s-1", "pair", i))
	}
	t.drainAll(t.Spine(t.Open(tap, cfg), spine.Config{}, o))
	for _, side := range []string{"out-left", "out-right"} {
		got := t.Numbers(side)
		if slices.Sort(got); !slices.Equal(got, upTo(20)) {
			t.Errorf("%s has %v", side, got)
		}
	}
	if apart.Load() > 0 {
		t.Errorf("%d commits had one part without the other", apart.Load())
	}
}

func drainsDeliveries(t *Trial) {
	var runs atomic.Int64
	o := competing("organ", func(ctx context.Context, in spine.Input) (spine.Output, error) {
		if N(in.Event) == 0 {
			runs.Add(1)
			return spine.Output{}, errors.New("no")
		}
		time.Sleep(10 * time.Millisecond)
		return Copy("copy.", "mid")(ctx, in)
	})
	o.Policy.OnError, o.Policy.Backoff = spine.ErrorNack, spine.Backoff{Base: time.Minute, Most: time.Minute}
	second := On("second", "mid", Copy("", "end"))
	for i := range 5 {
		t.series(5)
		start := time.Now()
		next := t.Drain(t.another(spine.Config{}, o, second))
		if got := len(t.Events(eventstore.OfType("end"))); got != 4*(i+1) {
			t.Fatalf("after Drain %d events came to the end, want %d", got, 4*(i+1))
		}
		if d := next.Sub(start); next.IsZero() || i == 0 && (d < 29*time.Second || d > 61*time.Second) {
			t.Errorf("the next is due in %s", d)
		}
	}
	if runs.Load() != 5 || t.window("organ") != 5 {
		t.Errorf("the failing ones ran %d times, %d are left", runs.Load(), t.window("organ"))
	}
}

func drainsFullWindow(t *Trial) {
	o := competing("organ", func(context.Context, spine.Input) (spine.Output, error) { return spine.Output{}, errors.New("no") })
	o.Policy.OnError, o.Policy.Backoff = spine.ErrorNack, spine.Backoff{Base: time.Hour, Most: time.Hour}
	o.Policy.Window = 3
	t.series(10)
	if next := t.Drain(t.another(spine.Config{}, o)); next.Before(time.Now()) || t.window("organ") != 3 {
		t.Errorf("the next is due at %s, and %d are in the window", next, t.window("organ"))
	}
}

func competingFinishes(t *Trial) {
	handle, busy, goOn, runs := holding(Copy("copy.", "mid"))
	o := competing("organ", handle)
	o.Policy.Deadline, o.Policy.Visibility, o.Policy.Workers = time.Minute, time.Minute, 1
	t.Put(Event("s-1", "in", 1), Event("s-1", "in", 2))
	sp := t.another(spine.Config{}, o)
	ctx, cancel := context.WithCancel(t.Ctx)
	done := make(chan error)
	go func() { done <- sp.Run(ctx) }()
	<-busy
	cancel()
	time.AfterFunc(20*time.Millisecond, func() { close(goOn) })
	if err := <-done; err != nil {
		t.Errorf("Run returned %v", err)
	}
	t.WantNumbers("copy.s-1", 1)
	t.Drain(sp)
	t.WantNumbers("copy.s-1", 1, 2)
	if runs.Load() != 1 {
		t.Errorf("it ran %d times", runs.Load())
	}
}
