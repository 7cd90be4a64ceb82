package spinetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func failures() []promise {
	return []promise{
		{"a failing event is parked, its key waits in order, all others flow", parks},
		{"a parked key goes on waiting after a restart, and when the lease changes", parksStay},
		{"one key of several waits, the others do not", parksOneKey},
		{"ErrorLog acknowledges the event and goes on", logs},
		{"Park is final and commits the output", parksWithOutput},
		{"a panic is a failure, with its stack", panics},
		{"what came before a failing event is committed, once", splits},
		{"every failure is kept, the last ones of very many", manyFailures},
	}
}

// poison handles like Copy, but for some numbers, whose handling fails. It counts its runs.
type poison struct {
	mu   sync.Mutex
	runs map[int]int
}

func (p *poison) handle(bad ...int) spine.Handle {
	p.runs = map[int]int{}
	return func(ctx context.Context, in spine.Input) (spine.Output, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		n := N(in.Event)
		p.runs[n]++
		if slices.Contains(bad, n) {
			return Out(Event("dropped", "mid", n)), fmt.Errorf("poison %d, run %d", n, p.runs[n])
		}
		return Copy("copy.", "mid")(ctx, in)
	}
}

func parks(t *Trial) {
	var p poison
	o := On("organ", "in", p.handle(1))
	o.Policy = spine.Policy{Partitions: 1, Retry: spine.Retry{Attempts: 3, Base: time.Millisecond}}
	t.Put(Event("a-1", "in", 1), Event("b-1", "in", 2), Event("a-1", "in", 3), Event("b-1", "in", 4), Event("a-1", "in", 5))
	sp := t.Spine(t.Store, spine.Config{}, o)
	t.Drain(sp)
	t.WantParked("organ", "a-1@1!", "a-1@3", "a-1@5")
	t.WantNumbers("copy.b-1", 2, 4)
	t.WantNumbers("copy.a-1")
	t.WantNumbers("dropped")
	if p.runs[1] != 3 || p.runs[3] != 0 || p.runs[2] != 1 {
		t.Errorf("handlers ran %v, want the poison three times and what waits behind it never", p.runs)
	}
	e := t.Parked("organ")[0]
	if e.Attempts != 3 || len(e.Failures) != 3 || e.Failures[2].Error != "poison 1, run 3" || e.Event == uuid.Nil {
		t.Errorf("the entry is %+v", e)
	}
	if st := sp.Stats(); st.Processed != 5 || st.Parked != 3 || st.Failed != 3 {
		t.Errorf("stats are %+v, want 5 processed, 3 parked, 3 failed", st)
	}
}

func parksStay(t *Trial) {
	var p poison
	o := On("organ", "in", p.handle(1))
	t.Put(Event("a-1", "in", 1))
	first := t.Spine(t.Store, spine.Config{}, o)
	t.Drain(first)
	t.Put(Event("a-1", "in", 2), Event("b-1", "in", 3))
	second := t.Spine(t.Open(t.Tap()), spine.Config{}, o)
	stop := t.Start(second)
	t.Until("b-1 is copied", func() bool { return len(t.Numbers("copy.b-1")) == 1 })
	third := t.Spine(t.Open(t.Tap()), spine.Config{}, o)
	t.Start(third)
	if err := stop(); err != nil {
		t.Error(err)
	}
	last := t.Put(Event("a-1", "in", 4), Event("b-1", "in", 5))
	if err := third.WaitFor(t.Ctx, "organ", last.Position); err != nil {
		t.Error(err)
	}
	var tried []string
	for _, k := range t.ParkedKeys("organ") {
		tried = append(tried, strings.Split(k, "@")[0]+strings.Repeat("!", strings.Count(k, "!")))
	}
	if got := strings.Join(tried, " "); got != "a-1! a-1 a-1" {
		t.Errorf("parked are %s, want the poison and two that wait", got)
	}
	t.WantNumbers("copy.b-1", 3, 5)
}

func parksOneKey(t *Trial) {
	var s seen
	o := On("keyed", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
		if N(in.Event)%3 == 1 {
			return spine.Output{}, errors.New("poison")
		}
		return s.handle(ctx, in)
	})
	o.Key, o.Policy.Partitions = eventstore.ByTag("k"), 1
	t.Put(tagged(Event("s-1", "in", 1), "k:a"), tagged(Event("s-1", "in", 2), "k:a", "k:b"), tagged(Event("s-1", "in", 3), "k:b"),
		tagged(Event("s-1", "in", 4), "k:a", "k:c"), tagged(Event("s-1", "in", 5), "k:c"))
	t.Drain(t.Spine(t.Store, spine.Config{}, o))
	t.WantParked("keyed", "a@1!", "a@2", "a@4", "c@4!", "c@5")
	if got := fmt.Sprint(s.keys); got != "map[2:[b] 3:[b]]" {
		t.Errorf("handled %s", got)
	}
}

func logs(t *Trial) {
	var p poison
	o := On("organ", "in", p.handle(1))
	o.Policy.OnError = spine.ErrorLog
	t.Put(Event("a-1", "in", 1), Event("a-1", "in", 2))
	sp := t.Spine(t.Store, spine.Config{}, o)
	t.Drain(sp)
	t.WantParked("organ")
	t.WantNumbers("copy.a-1", 2)
	if st := sp.Stats(); st.Processed != 2 || st.Parked != 0 || st.Failed != 1 {
		t.Errorf("stats are %+v, want 2 processed, 1 failed", st)
	}
}

func parksWithOutput(t *Trial) {
	for _, mode := range []spine.OnError{spine.ErrorStore, spine.ErrorLog} {
		name := fmt.Sprint("organ", int(mode))
		runs := 0
		o := On(name, "in", func(_ context.Context, in spine.Input) (spine.Output, error) {
			if runs++; N(in.Event) == 2 {
				return Out(Event(name+"-1", "refused", 2)), spine.Park(errors.New("blocked"))
			}
			return Out(Event(name+"-1", "done", N(in.Event))), nil
		})
		o.Policy = spine.Policy{OnError: mode, Partitions: 1, Retry: spine.Retry{Attempts: 5}}
		if mode == spine.ErrorStore {
			t.Put(Event("a-1", "in", 1), Event("b-1", "in", 2), Event("b-1", "in", 3), Event("a-1", "in", 4))
		}
		sp := t.Spine(t.Store, spine.Config{}, o)
		t.Drain(sp)
		if mode == spine.ErrorStore {
			t.WantNumbers(name+"-1", 1, 2, 4)
			t.WantParked(name, "b-1@2!", "b-1@3")
		} else {
			t.WantNumbers(name+"-1", 1, 2, 3, 4)
			t.WantParked(name)
		}
		if st := sp.Stats(); st.Failed != 1 || st.Processed != 4 {
			t.Errorf("stats are %+v, want 1 failed", st)
		}
	}
	if spine.Park(nil) != nil {
		t.Error("Park(nil) is not nil")
	}
}

func panics(t *Trial) {
	var mu sync.Mutex
	var seen []error
	watch := Watch(func(o spine.Observation) {
		if o.Step == spine.HandlerFailed {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, o.Err)
		}
	})
	cause := errors.New("boom")
	o := On("organ", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
		if N(in.Event) == 1 {
			panic(cause)
		}
		return Copy("copy.", "mid")(ctx, in)
	})
	t.Put(Event("a-1", "in", 1), Event("b-1", "in", 2))
	t.Drain(t.Spine(t.Store, spine.Config{Observers: []spine.Observer{watch}}, o))
	t.WantNumbers("copy.b-1", 2)
	if e := t.Parked("organ"); len(e) != 1 || e[0].Failures[0].Error != "panic: boom" {
		t.Errorf("parked are %+v", e)
	}
	if len(seen) != 1 {
		t.Fatalf("observers saw %v", seen)
	}
	p, ok := errors.AsType[*spine.PanicError](seen[0])
	if !ok || !strings.Contains(string(p.Stack), "failures.go") || !errors.Is(seen[0], cause) {
		t.Errorf("observers saw %v, want a PanicError with the stack", seen[0])
	}
}

// splits fails in the middle of what would be one commit.
func splits(t *Trial) {
	for _, attempts := range []int{1, 3} {
		var p poison
		name := fmt.Sprint("organ", attempts)
		o := On(name, "in", p.handle(3))
		o.Policy = spine.Policy{Partitions: 1, Retry: spine.Retry{Attempts: attempts, Base: time.Millisecond}}
		if attempts == 1 {
			for i := 1; i <= 5; i++ {
				t.Put(Event(fmt.Sprint("s-", i), "in", i))
			}
		}
		t.Drain(t.Spine(t.Store, spine.Config{}, o))
		t.WantParked(name, "s-3@3!")
		if want := map[int]int{1: 1, 2: 1, 3: attempts, 4: 1, 5: 1}; fmt.Sprint(p.runs) != fmt.Sprint(want) {
			t.Errorf("with %d attempts handlers ran %v, want %v", attempts, p.runs, want)
		}
	}
}

func manyFailures(t *Trial) {
	var p poison
	o := On("organ", "in", p.handle(1))
	o.Policy.Retry = spine.Retry{Attempts: 40, Base: time.Nanosecond}
	t.Put(Event("a-1", "in", 1))
	t.Drain(t.Spine(t.Store, spine.Config{}, o))
	e := t.Parked("organ")
	if len(e) != 1 || e[0].Attempts != 40 || e[0].Failures[len(e[0].Failures)-1].Error != "poison 1, run 40" {
		t.Errorf("parked are %+v, want one entry of 40 attempts", e)
	}
}

// Watch is an observer made of a function.
type Watch func(o spine.Observation)

// Observe implements spine.Observer.
func (w Watch) Observe(ctx context.Context, o spine.Observation) context.Context {
	w(o)
	return ctx
}
