package spinetest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func lifecycle() []promise {
	return []promise{
		{"a Spine runs once at a time, and again afterwards", runsOnce},
		{"Run returns nil when its context ends, also if it had ended before", runEnds},
		{"what is under way when Run is to end is finished and committed", runFinishes},
		{"Run reports why it failed", runFails},
		{"a log that is away when Run or Drain begins is waited for", runWaits},
		{"a wait for a log that is away ends with the context", runWaitsInVain},
		{"a closed store ends Run", runClosed},
		{"a consumer keeps the partitions it began with, unless its organ says otherwise", runPartitions},
	}
}

func runsOnce(t *Trial) {
	sp := t.Spine(t.Store, spine.Config{}, On("a", "in", Ignore))
	stop := t.Start(sp)
	t.Until("it runs", func() bool { return lanes(sp, "a") == 16 })
	if err := sp.Run(t.Ctx); !errors.Is(err, spine.ErrRunning) {
		t.Errorf("a second Run returned %v", err)
	}
	if _, err := sp.Drain(t.Ctx); !errors.Is(err, spine.ErrRunning) {
		t.Errorf("Drain beside Run returned %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	t.Drain(sp)
}

func runEnds(t *Trial) {
	sp := t.Spine(t.Store, spine.Config{}, On("a", "in", Ignore))
	ctx, cancel := context.WithCancelCause(t.Ctx)
	cancel(errors.New("it is late"))
	if err := sp.Run(ctx); err != nil {
		t.Errorf("with an ended context Run returned %v", err)
	}
	if err := t.Start(sp)(); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

func runFinishes(t *Trial) {
	busy, end := make(chan struct{}), make(chan struct{})
	o := On("a", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
		if N(in.Event) == 1 {
			close(busy)
			<-end
			if ctx.Err() != nil {
				t.Error("the handler's context ended with Run's")
			}
		}
		return Copy("copy.", "mid")(ctx, in)
	})
	t.Put(Event("s-1", "in", 1))
	sp := t.another(spine.Config{}, o)
	ctx, cancel := context.WithCancel(t.Ctx)
	done := make(chan error)
	go func() { done <- sp.Run(ctx) }()
	<-busy
	cancel()
	t.Put(Event("s-1", "in", 2)) // comes too late
	close(end)
	if err := <-done; err != nil {
		t.Errorf("Run returned %v", err)
	}
	t.WantNumbers("copy.s-1", 1)
	for i, p := range t.Roster("a").Partitions {
		if p.Owner != "" {
			t.Errorf("partition %d is still owned by %s", i, p.Owner)
		}
	}
	t.Drain(sp)
	t.WantNumbers("copy.s-1", 1, 2)
}

func runFails(t *Trial) {
	tap := t.Tap()
	sp := t.Spine(t.Open(tap), spine.Config{}, On("a", "in", Ignore))
	tap.Cut()
	if err := sp.Run(t.Ctx); !errors.Is(err, ErrCut) {
		t.Errorf("without a log Run returned %v", err)
	}
	if _, err := sp.Drain(t.Ctx); !errors.Is(err, ErrCut) {
		t.Errorf("without a log Drain returned %v", err)
	}
}

// away is the error of a log that comes back.
type away struct{}

func (away) Error() string   { return "the log is away" }
func (away) Retryable() bool { return true }

// told is an observer that counts the failures of the store that are away.
type told struct{ failures *atomic.Int64 }

func (o told) Observe(ctx context.Context, x spine.Observation) context.Context {
	if errors.As(x.Err, new(away)) && x.Step == spine.StoreFailed {
		o.failures.Add(1)
	}
	return ctx
}

// runWaits has the log go away at each of the first calls, for three of them.
func runWaits(t *Trial) {
	for begins := range int64(4) { // the definition, the roster, the head, and what comes then
		for _, drain := range []bool{false, true} {
			var calls, failures atomic.Int64
			tap := t.Tap()
			tap.OnCall = func() error {
				if n := calls.Add(1) - 1; n >= begins && n < begins+3 {
					return away{}
				}
				return nil
			}
			name := fmt.Sprintf("organ-%d-%t", begins, drain)
			sp := t.Spine(t.Open(tap), spine.Config{Observers: []spine.Observer{told{&failures}}}, On(name, "in", Ignore))
			t.Put(Event("s-1", "in", 1))
			if drain {
				t.Drain(sp)
			} else {
				stop := t.Start(sp)
				t.Done(name)
				if err := stop(); err != nil {
					t.Errorf("away at call %d, Run returned %v", begins, err)
				}
			}
			if n := failures.Load(); begins < 3 && n != 3 {
				t.Errorf("away at call %d, it has told of %d failures, want 3", begins, n)
			}
			if r := t.Roster(name); r.Position() != t.Head() {
				t.Errorf("away at call %d, it stands at %d of %d", begins, r.Position(), t.Head())
			}
		}
	}
}

func runWaitsInVain(t *Trial) {
	late := errors.New("it is late")
	var failures atomic.Int64
	tap := t.Tap()
	tap.OnCall = func() error { return away{} }
	sp := t.Spine(t.Open(tap), spine.Config{Observers: []spine.Observer{told{&failures}}}, On("a", "in", Ignore))
	for what, begin := range map[string]func(ctx context.Context) error{
		"Run": sp.Run,
		"Drain": func(ctx context.Context) error {
			_, err := sp.Drain(ctx)
			return err
		},
	} {
		ctx, cancel := context.WithCancelCause(t.Ctx)
		done := make(chan error)
		go func() { done <- begin(ctx) }()
		before := failures.Load()
		t.Until("it has tried twice", func() bool { return failures.Load() >= before+2 })
		cancel(late)
		if err := <-done; (what == "Drain") != errors.Is(err, late) || what == "Run" && err != nil {
			t.Errorf("%s returned %v", what, err)
		}
		if r := t.Roster("a"); len(r.Partitions) > 0 {
			t.Errorf("nothing has reached the log, and the roster is %+v", r)
		}
	}
}

func runClosed(t *Trial) {
	st := eventstore.New(t.Tap(), eventstore.Config{})
	sp := t.Spine(st, spine.Config{}, On("a", "in", Copy("copy.", "mid")))
	done := make(chan error)
	go func() { done <- sp.Run(t.Ctx) }()
	t.Until("it runs", func() bool { return lanes(sp, "a") == 16 })
	if err := st.Close(); err != nil {
		t.Error(err)
	}
	t.Put(Event("s-1", "in", 1))
	if err := <-done; !errors.Is(err, eventstore.ErrClosed) {
		t.Errorf("Run returned %v, want ErrClosed", err)
	}
	if _, err := sp.Emit(t.Ctx, eventstore.In("x-1", named{})); !errors.Is(err, eventstore.ErrClosed) {
		t.Errorf("Emit returned %v, want ErrClosed", err)
	}
}

type named struct{}

func (named) EventType() string { return "named" }

func runPartitions(t *Trial) {
	o := On("a", "in", Ignore)
	o.Policy.Partitions = 3
	t.Drain(t.Spine(t.Store, spine.Config{}, o))
	open := On("a", "in", Ignore) // leaves it open
	t.Drain(t.Spine(t.Store, spine.Config{}, open))
	if n := len(t.Roster("a").Partitions); n != 3 {
		t.Errorf("the consumer has %d partitions, want 3", n)
	}
	o.Policy.Partitions = 4
	t.Drain(t.Spine(t.Store, spine.Config{}, o))
	if n := len(t.Roster("a").Partitions); n != 4 {
		t.Errorf("the consumer has %d partitions, want the 4 of its new definition", n)
	}
}
