package spinetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func redrives() []promise {
	return []promise{
		{"a redriven key is worked off from its head, in order, whatever entry was marked", worksOff},
		{"a key that fails again is parked again, once, with one attempt and failure more", failsAgain},
		{"a key is worked off until an event of it fails again", stopsAtNext},
		{"events that arrive during a redrive stay behind, in order", arriveDuring},
		{"a redrive by another process is noticed at once", redrivenElsewhere},
		{"a long queue is worked off whole", longQueue},
		{"a long queue of events that were tried before is worked off whole", longTried},
		{"an event with several keys is redriven for the key that was redriven", redrivesOneKey},
		{"parts of one stored event are redriven together, and only those that fail stay", redrivesParts},
		{"an event that the organ does not listen to any more says so", redrivesUnheard},
		{"under ErrorLog, what an earlier policy has parked is tried once more and let go", redrivesLogged},
		{"Park with output, on redrive, commits the output and parks again", redrivesPark},
		{"an event whose keys can be had by now is handled for them", redrivesFaulty},
		{"a redriven output that is refused is not written, and the event stays parked", redrivesRefused},
		{"a redriven handler whose expectation loses is run again, and has not failed", redrivesConflict},
	}
}

// moody handles like Copy, but numbers that are bad fail. It counts its runs.
type moody struct {
	mu   sync.Mutex
	bad  map[int]bool
	runs map[int]int
}

func moodyOn(bad ...int) *moody {
	m := &moody{bad: map[int]bool{}, runs: map[int]int{}}
	for _, n := range bad {
		m.bad[n] = true
	}
	return m
}

func (m *moody) handle(ctx context.Context, in spine.Input) (spine.Output, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := N(in.Event)
	m.runs[n]++
	if m.bad[n] {
		return Out(Event("dropped", "mid", n)), fmt.Errorf("number %d is bad, run %d", n, m.runs[n])
	}
	return Copy("copy.", "mid")(ctx, in)
}

func (m *moody) cure(ns ...int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range ns {
		delete(m.bad, n)
	}
}

func (m *moody) ran(n int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.runs[n]
}

// redrive marks entries, through a connection of its own.
func (t *Trial) redrive(want int, f eventstore.ParkedFilter) {
	t.Helper()
	if n, err := t.Store.Redrive(t.Ctx, f); err != nil || n != want {
		t.Fatalf("Redrive returned %d, %v, want %d entries", n, err, want)
	}
}

// aside puts 1, 3 and 5 of key a-1 and 2 and 4 of key b-1, of which 1 fails.
func aside(t *Trial, m *moody) *spine.Spine {
	t.Helper()
	o := On("organ", "in", m.handle)
	o.Policy.Partitions = 1
	t.Put(Event("a-1", "in", 1), Event("b-1", "in", 2), Event("a-1", "in", 3), Event("b-1", "in", 4), Event("a-1", "in", 5))
	sp := t.Spine(t.Open(t.Tap()), spine.Config{}, o)
	t.Drain(sp)
	t.WantParked("organ", "a-1@1!", "a-1@3", "a-1@5")
	return sp
}

func worksOff(t *Trial) {
	for name, c := range map[string]struct {
		marked int
		filter func(all []eventstore.Parked) eventstore.ParkedFilter
	}{
		"the head": {1, func(all []eventstore.Parked) eventstore.ParkedFilter {
			return eventstore.ParkedFilter{IDs: []uuid.UUID{all[0].ID}}
		}},
		"the middle": {1, func(all []eventstore.Parked) eventstore.ParkedFilter {
			return eventstore.ParkedFilter{IDs: []uuid.UUID{all[1].ID}}
		}},
		"the end": {1, func(all []eventstore.Parked) eventstore.ParkedFilter {
			return eventstore.ParkedFilter{IDs: []uuid.UUID{all[2].ID}}
		}},
		"the key": {3, func([]eventstore.Parked) eventstore.ParkedFilter {
			return eventstore.ParkedFilter{Consumer: "organ", Key: "a-1"}
		}},
		"the group": {1, func(all []eventstore.Parked) eventstore.ParkedFilter {
			return eventstore.ParkedFilter{Group: all[0].Group()}
		}},
		"all": {3, func([]eventstore.Parked) eventstore.ParkedFilter { return eventstore.ParkedFilter{} }},
	} {
		one := NewTrial(t.T, t.harness)
		m := moodyOn(1)
		sp := aside(one, m)
		m.cure(1)
		one.redrive(c.marked, c.filter(one.Parked("organ")))
		one.Drain(sp)
		one.WantParked("organ")
		one.WantNumbers("copy.a-1", 1, 3, 5)
		one.WantNumbers("copy.b-1", 2, 4)
		one.WantNumbers("dropped")
		if fmt.Sprint(m.runs) != "map[1:2 2:1 3:1 4:1 5:1]" {
			t.Errorf("with %s marked, handlers ran %v", name, m.runs)
		}
		for _, e := range one.Events(eventstore.InStream("copy.a-1")) {
			if cause := one.Events(eventstore.InStream("a-1"))[e.Version-1]; e.Metadata.Causation != cause.ID {
				t.Errorf("%+v has not the redriven event as its cause", e.Metadata)
			}
		}
	}
}

func failsAgain(t *Trial) {
	m := moodyOn(1)
	sp := aside(t, m)
	first := t.Parked("organ")[0]
	for n := 2; n <= 4; n++ {
		t.redrive(3, eventstore.ParkedFilter{})
		t.Drain(sp)
		t.Drain(sp) // it does not go on by itself
		t.WantParked("organ", "a-1@1!", "a-1@3", "a-1@5")
		p := t.Parked("organ")[0]
		if m.ran(1) != n || p.Attempts != n || len(p.Failures) != n || p.Redriven || !p.Due.IsZero() || p.ID != first.ID || !p.At.Equal(first.At) {
			t.Errorf("after %d runs the entry is %+v", m.ran(1), p)
		}
		if got := p.Failures[n-1].Error; got != fmt.Sprintf("number 1 is bad, run %d", n) {
			t.Errorf("the last failure is %q", got)
		}
		for _, p := range t.Parked("organ") {
			if p.Redriven {
				t.Errorf("%s@%d is still marked", p.Key, p.Position)
			}
		}
	}
	t.WantNumbers("dropped")
}

func stopsAtNext(t *Trial) {
	m := moodyOn(1, 3)
	sp := aside(t, m)
	m.cure(1)
	t.redrive(3, eventstore.ParkedFilter{})
	t.Drain(sp)
	t.WantParked("organ", "a-1@3!", "a-1@5")
	t.WantNumbers("copy.a-1", 1)
	m.cure(3)
	t.redrive(1, eventstore.ParkedFilter{IDs: []uuid.UUID{t.Parked("organ")[1].ID}})
	t.Drain(sp)
	t.WantParked("organ")
	t.WantNumbers("copy.a-1", 1, 3, 5)
}

// arriveDuring lets events arrive while the head is being handled, and later ones after that.
func arriveDuring(t *Trial) {
	m := moodyOn(1)
	busy, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var held atomic.Bool
	o := On("organ", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
		if N(in.Event) == 1 && held.Load() {
			once.Do(func() { close(busy); <-goOn })
		}
		return m.handle(ctx, in)
	})
	o.Policy.Partitions = 2
	t.Put(Event("a-1", "in", 1), Event("a-1", "in", 3))
	sp := t.Spine(t.Open(t.Tap()), spine.Config{}, o)
	t.Drain(sp)
	t.Start(sp)
	m.cure(1)
	held.Store(true)
	t.redrive(2, eventstore.ParkedFilter{Key: "a-1"})
	<-busy
	t.Put(Event("a-1", "in", 5), Event("a-1", "in", 7))
	close(goOn)
	t.Put(Event("a-1", "in", 9))
	t.Until("the key is worked off", func() bool { return len(t.Numbers("copy.a-1")) == 5 })
	t.WantNumbers("copy.a-1", 1, 3, 5, 7, 9)
	t.WantParked("organ")
}

func redrivenElsewhere(t *Trial) {
	m := moodyOn(1)
	o := On("organ", "in", m.handle)
	t.Put(Event("a-1", "in", 1), Event("a-1", "in", 3))
	cfg := spine.Config{Lease: time.Hour}
	t.Start(t.another(cfg, o))
	t.Start(t.another(cfg, o))
	t.Until("it is parked", func() bool { return len(t.Parked("organ")) == 2 })
	m.cure(1)
	other := t.Open(t.Tap())
	start := time.Now()
	if n, err := other.Redrive(t.Ctx, eventstore.ParkedFilter{Consumer: "organ"}); n != 2 || err != nil {
		t.Fatalf("Redrive returned %d, %v", n, err)
	}
	t.Until("it is worked off", func() bool { return len(t.Parked("organ")) == 0 })
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("that took %s", d)
	}
	t.WantNumbers("copy.a-1", 1, 3)
}

func longQueue(t *Trial) {
	m := moodyOn(0)
	o := On("organ", "in", m.handle)
	var events []eventstore.Event
	for i := range 150 {
		events = append(events, Event("a-1", "in", i))
	}
	t.Put(events...)
	sp := t.Spine(t.Store, spine.Config{}, o)
	t.Drain(sp)
	m.cure(0)
	t.redrive(1, eventstore.ParkedFilter{IDs: []uuid.UUID{t.Parked("organ")[149].ID}})
	t.Drain(sp)
	t.WantParked("organ")
	t.WantNumbers("copy.a-1", t.Numbers("a-1")...)
}

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

// longTried has a key with more entries than a lane works off at once, all of which were tried: they were spilled.
func longTried(t *Trial) {
	path, cfg := spillPath(t)
	tap := t.outage()
	tap.down.Store(true)
	m := moodyOn()
	o := stores(On("organ", "in", m.handle))
	var events []eventstore.Event
	for i := range 150 {
		events = append(events, Event("a-1", "in", i))
	}
	t.Put(events...)
	stop := t.Start(t.Spine(t.Open(tap), cfg, o))
	t.Until("all is spilled", func() bool { return spilledLines(t, path) == 150 })
	tap.down.Store(false)
	t.Until("all is parked", func() bool { return len(t.Parked("organ")) == 150 })
	if err := stop(); err != nil {
		t.Error(err)
	}
	t.redrive(1, eventstore.ParkedFilter{IDs: []uuid.UUID{t.Parked("organ")[70].ID}})
	t.Drain(t.another(cfg, o))
	t.WantParked("organ")
	t.WantNumbers("copy.a-1", t.Numbers("a-1")...)
}
