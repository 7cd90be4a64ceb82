package spinetest

import (
	"context"
	"fmt"
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
