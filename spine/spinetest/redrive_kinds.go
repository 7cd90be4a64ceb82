package spinetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func redrivesOneKey(t *Trial) {
	var s seen
	var bad atomic.Bool
	bad.Store(true)
	o := On("keyed", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
		if N(in.Event) == 1 && bad.Load() {
			return spine.Output{}, errors.New("poison")
		}
		return s.handle(ctx, in)
	})
	o.Key, o.Policy.Partitions = eventstore.ByTag("k"), 1
	t.Put(tagged(Event("s-1", "in", 1), "k:a", "k:b"), tagged(Event("s-1", "in", 2), "k:a", "k:c"))
	sp := t.Spine(t.Store, spine.Config{}, o)
	t.Drain(sp)
	t.WantParked("keyed", "a@1!", "b@1!", "a@2")
	bad.Store(false)
	t.redrive(1, eventstore.ParkedFilter{Key: "b"})
	t.Drain(sp)
	t.WantParked("keyed", "a@1!", "a@2")
	if got := fmt.Sprint(s.keys); got != "map[1:[b] 2:[c]]" {
		t.Errorf("with b redriven, handled %s", got)
	}
	t.redrive(2, eventstore.ParkedFilter{Key: "a"})
	t.Drain(sp)
	t.WantParked("keyed")
	if got := fmt.Sprint(s.keys); got != "map[1:[b a] 2:[c a]]" {
		t.Errorf("with a redriven too, handled %s", got)
	}
}

// redrivesParts has an event that is read as three, of which the second is refused for good.
func redrivesParts(t *Trial) {
	into := func(eventstore.Raw) (parts []eventstore.Raw, err error) {
		for n := 1; n <= 3; n++ {
			parts = append(parts, eventstore.Raw{Type: "in", Schema: 2, Data: fmt.Appendf(nil, `{"N":%d}`, n)})
		}
		return parts, nil
	}
	st := t.Open(t.Tap(), eventstore.Config{Upcasters: []eventstore.Upcaster{{Type: "in", From: 1, Up: into}}})
	m := moodyOn(1)
	stubborn := true
	o := On("organ", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
		if out, err := m.handle(ctx, in); err != nil || N(in.Event) != 2 || !stubborn {
			return out, err
		}
		return Out(Event("refused-1", "mid", 2)), spine.Park(errors.New("blocked"))
	})
	t.Put(Event("a-1", "in", 0))
	sp := t.Spine(st, spine.Config{}, o)
	t.Drain(sp)
	t.WantParked("organ", "a-1@1!", "a-1@1!", "a-1@1!")
	m.cure(1)
	t.redrive(1, eventstore.ParkedFilter{IDs: []uuid.UUID{t.Parked("organ")[2].ID}})
	t.Drain(sp)
	t.WantParked("organ", "a-1@1!")
	t.WantNumbers("copy.a-1", 1, 3)
	t.WantNumbers("refused-1", 2)
	stubborn = false
	t.redrive(1, eventstore.ParkedFilter{})
	t.Drain(sp)
	t.WantParked("organ")
	t.WantNumbers("copy.a-1", 1, 3, 2)
	if fmt.Sprint(m.runs) != "map[1:2 2:2 3:1]" {
		t.Errorf("handlers ran %v", m.runs)
	}
}

func redrivesUnheard(t *Trial) {
	m := moodyOn(1)
	aside(t, m)
	m.cure(1)
	o := On("organ", "other", m.handle)
	o.Policy.Partitions = 1
	sp := t.another(spine.Config{}, o)
	t.redrive(3, eventstore.ParkedFilter{})
	t.Drain(sp)
	t.WantParked("organ", "a-1@1!", "a-1@3", "a-1@5")
	if f := t.Parked("organ")[0].Failures; len(f) != 2 || !strings.Contains(f[1].Error, "does not listen to the event any more") {
		t.Errorf("the failures are %+v", f)
	}
	if m.ran(1) != 1 {
		t.Errorf("the handler ran %d times", m.ran(1))
	}
}

func redrivesLogged(t *Trial) {
	m := moodyOn(1, 3)
	aside(t, m)
	o := On("organ", "in", m.handle)
	o.Policy.Partitions, o.Policy.OnError = 1, spine.ErrorLog
	var skipped atomic.Int64
	watch := Watch(func(o spine.Observation) {
		if o.Step == spine.EventSkipped {
			skipped.Add(1)
		}
	})
	sp := t.another(spine.Config{Observers: []spine.Observer{watch}}, o)
	t.Put(Event("a-1", "in", 7))
	t.Drain(sp)
	t.WantParked("organ", "a-1@1!", "a-1@3", "a-1@5", "a-1@8") // its order is kept even now
	t.redrive(4, eventstore.ParkedFilter{})
	t.Drain(sp)
	t.WantParked("organ")
	t.WantNumbers("copy.a-1", 5, 7)
	if skipped.Load() != 2 || m.ran(1) != 2 || m.ran(3) != 1 {
		t.Errorf("%d were skipped, the handler ran %v", skipped.Load(), m.runs)
	}
}

func redrivesPark(t *Trial) {
	runs := 0
	o := On("organ", "in", func(_ context.Context, in spine.Input) (spine.Output, error) {
		if runs++; runs < 3 {
			return Out(Event("out-1", "refused", runs)), spine.Park(fmt.Errorf("blocked, run %d", runs))
		}
		return Out(Event("out-1", "done", N(in.Event)*10)), nil
	})
	sp := t.Spine(t.Store, spine.Config{}, o)
	t.Put(Event("a-1", "in", 1))
	t.Drain(sp)
	t.WantNumbers("out-1", 1)
	t.redrive(1, eventstore.ParkedFilter{})
	t.Drain(sp)
	t.WantNumbers("out-1", 1, 2)
	t.WantParked("organ", "a-1@1!")
	if p := t.Parked("organ")[0]; p.Attempts != 2 || p.Failures[1].Error != "blocked, run 2" {
		t.Errorf("the entry is %+v", p)
	}
	t.redrive(1, eventstore.ParkedFilter{})
	t.Drain(sp)
	t.WantNumbers("out-1", 1, 2, 10)
	t.WantParked("organ")
}

func redrivesFaulty(t *Trial) {
	var well atomic.Bool
	var s seen
	o := On("keyed", "in", s.handle)
	o.Policy.Partitions = 1
	o.Key = func(eventstore.Event) ([]string, error) {
		if !well.Load() {
			return nil, errors.New("no key today")
		}
		return []string{"x", "y"}, nil
	}
	t.Put(Event("s-1", "in", 1))
	sp := t.Spine(t.Store, spine.Config{}, o)
	t.Drain(sp)
	t.redrive(1, eventstore.ParkedFilter{})
	t.Drain(sp)
	if p := t.Parked("keyed"); len(p) != 1 || p[0].Failures[len(p[0].Failures)-1].Error != "no key today" || s.runs != 0 {
		t.Fatalf("while the key fails, it is parked as %+v, and the handler ran %d times", p, s.runs)
	}
	well.Store(true)
	t.redrive(1, eventstore.ParkedFilter{})
	t.Drain(sp)
	t.WantParked("keyed")
	if got := fmt.Sprint(s.keys); got != "map[1:[x y]]" {
		t.Errorf("handled %s", got)
	}
}

func redrivesRefused(t *Trial) {
	for _, mode := range []spine.OnError{spine.ErrorStore, spine.ErrorLog} {
		one := NewTrial(t.T, t.harness)
		m := moodyOn(1)
		aside(one, m)
		m.cure(1)
		o := On("organ", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
			out, err := m.handle(ctx, in)
			if N(in.Event) == 1 {
				out.Commit.Appends[0].Events[0].Type = ""
			}
			return out, err
		})
		o.Policy.Partitions, o.Policy.OnError = 1, mode
		sp := one.another(spine.Config{}, o)
		one.redrive(3, eventstore.ParkedFilter{})
		one.Drain(sp)
		if mode == spine.ErrorLog {
			one.WantParked("organ")
			one.WantNumbers("copy.a-1", 3, 5)
			continue
		}
		one.WantParked("organ", "a-1@1!", "a-1@3", "a-1@5")
		one.WantNumbers("copy.a-1")
		if p := one.Parked("organ")[0]; p.Attempts != 2 || !strings.Contains(p.Failures[1].Error, "type is empty") {
			t.Errorf("the entry is %+v", p)
		}
	}
}

func redrivesConflict(t *Trial) {
	m := moodyOn(1)
	aside(t, m)
	m.cure(1)
	var once sync.Once
	o := On("organ", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
		v := eventstore.Version(len(t.Numbers("copy.a-1")))
		once.Do(func() { t.Put(Event("copy.a-1", "mid", -1)) })
		out, err := m.handle(ctx, in)
		out.Commit.Appends[0].Expect = eventstore.Exact(v)
		return out, err
	})
	o.Policy.Partitions = 1
	sp := t.another(spine.Config{}, o)
	t.redrive(1, eventstore.ParkedFilter{IDs: []uuid.UUID{t.Parked("organ")[0].ID}})
	t.Drain(sp)
	t.WantNumbers("copy.a-1", -1, 1, 3, 5)
	t.WantParked("organ")
	if st := sp.Stats(); st.Failed != 0 || st.Organs[0].Conflicts != 1 {
		t.Errorf("stats are %+v, want one conflict and no failure", st)
	}
}
