package spinetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func carefuls() []promise {
	return []promise{
		{"poison that ends its process is parked after three attempts, and its neighbours are handled", parksKiller},
		{"poison that ends its process is skipped under ErrorLog", skipsKiller},
		{"after owners were lost without progress, every attempt is in the log before it is made", announces},
		{"partitions that are handed over in time are worked as fast as ever", notCareful},
		{"an innocent event that was tried when its process ended is handled, and leaves nothing behind", innocent},
	}
}

// fate runs processes one after the other, each until it is cut off by its handler or has done all, and returns how
// many were cut off. The handler ends its process by calling kill.
func fate(t *Trial, most int, organ func(kill func()) Organ, observers ...spine.Observer) (killed int) {
	t.Helper()
	for range most {
		tap := t.Tap()
		ctx, cancel := context.WithCancel(t.Ctx)
		o := organ(func() {
			tap.Cut()
			cancel()
		})
		cfg := spine.Config{Lease: 150 * time.Millisecond, Grace: time.Millisecond, Observers: observers}
		_, err := t.Spine(t.Open(tap), cfg, o).Drain(ctx)
		cancel()
		if err == nil {
			return killed
		}
		if !tap.cut.Load() {
			t.Fatal(err)
		}
		killed++
	}
	t.Errorf("%d processes were not enough", most)
	return killed
}

// killer handles like moody, but number 5 ends the process, after before.
func killer(m *moody, mode spine.OnError, before func()) func(kill func()) Organ {
	return func(kill func()) Organ {
		o := On("organ", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
			if N(in.Event) == 5 {
				before()
				kill()
			}
			return m.handle(ctx, in)
		})
		o.Policy.Partitions, o.Policy.OnError = 1, mode
		return o
	}
}

// death is how the log stood when a process ended: how far the partition had come, and whether the attempt was announced.
type death struct {
	at        eventstore.Position
	announced bool
}

func (t *Trial) death(consumer string) death {
	t.Helper()
	return death{t.Roster(consumer).Position(), len(t.Parked(consumer)) > 0}
}

// wantDeaths expects a partition to be worked carefully as soon as it has outlived two owners without moving, and three
// announced attempts then. What comes before the poison may be committed alone, if the machine is slow: that is
// progress, and owners are counted anew.
func wantDeaths(t *Trial, ends []death) {
	t.Helper()
	lost, announced, at := 0, 0, eventstore.Position(0)
	for _, d := range ends {
		switch {
		case d.announced && lost < 2 || !d.announced && lost >= 2:
			t.Errorf("after the loss of %d owners, the attempt's being in the log is %t: %+v", lost, d.announced, ends)
		case d.announced:
			announced++
		case d.at > at:
			lost = 1
		default:
			lost++
		}
		at = d.at
	}
	if announced != 3 {
		t.Errorf("it has ended %d processes after it was announced, want 3: %+v", announced, ends)
	}
}

// crowd puts 0 … 9, each in a stream of its own, and more behind 5.
func crowd(t *Trial) {
	for i := range 10 {
		t.Put(Event(fmt.Sprint("s-", i), "in", i))
	}
	t.Put(Event("s-5", "in", 15), Event("s-6", "in", 16))
}

func parksKiller(t *Trial) {
	for _, mode := range []spine.OnError{spine.ErrorStore, spine.ErrorNack} {
		one := NewTrial(t.T, t.harness)
		crowd(one)
		m := moodyOn()
		var ends []death
		fate(one, 20, killer(m, mode, func() { ends = append(ends, one.death("organ")) }))
		wantDeaths(one, ends)
		one.WantParked("organ", "s-5@6!", "s-5@11")
		p := one.Parked("organ")[0]
		if p.Attempts != 3 || len(p.Failures) != 3 || !p.Due.IsZero() || !strings.Contains(p.Failures[2].Error, spine.ErrPoison.Error()) {
			t.Errorf("the entry is %+v", p)
		}
		for i := range 10 {
			want := one.Numbers(fmt.Sprint("s-", i))
			if i == 5 {
				want = nil
			}
			one.WantNumbers(fmt.Sprint("copy.s-", i), want...)
		}
	}
}

func skipsKiller(t *Trial) {
	crowd(t)
	m := moodyOn()
	var reason atomic.Value
	fate(t, 20, killer(m, spine.ErrorLog, func() {}), Watch(func(o spine.Observation) {
		if o.Step == spine.EventSkipped {
			reason.Store(o.Err.Error())
		}
	}))
	t.WantParked("organ")
	t.WantNumbers("copy.s-5", 15)
	t.WantNumbers("copy.s-6", 6, 16)
	if s, _ := reason.Load().(string); !strings.Contains(s, spine.ErrPoison.Error()) {
		t.Errorf("it was skipped for %q", s)
	}
}

// announces looks at the log from within the handlers.
func announces(t *Trial) {
	crowd(t)
	m := moodyOn()
	var kills, singly, unannounced atomic.Int64
	var mu sync.Mutex
	fate(t, 4, func(kill func()) Organ {
		o := On("organ", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
			if N(in.Event) == 0 && kills.Add(1) <= 2 {
				kill()
				return spine.Output{}, ctx.Err()
			}
			mu.Lock()
			defer mu.Unlock()
			if kills.Load() == 3 {
				singly.Add(1)
				announced := slices.ContainsFunc(t.Parked("organ"), func(p eventstore.Parked) bool { return p.Event == in.ID && p.Attempts == 1 })
				if at := t.Roster("organ").Position(); !announced || at != in.Position-1 {
					unannounced.Add(1)
				}
			}
			return m.handle(ctx, in)
		})
		o.Policy.Partitions = 1
		return o
	})
	if singly.Load() < 12 || unannounced.Load() > 0 {
		t.Errorf("%d of %d events were tried without saying so first, or together with others", unannounced.Load(), singly.Load())
	}
	t.WantParked("organ")
	for i := range 10 {
		t.WantNumbers(fmt.Sprint("copy.s-", i), t.Numbers(fmt.Sprint("s-", i))...)
	}
}

func notCareful(t *Trial) {
	m := moodyOn()
	o := On("organ", "in", m.handle)
	o.Policy.Partitions = 1
	for range 6 { // none makes progress
		sp := t.another(spine.Config{Lease: time.Hour}, o)
		stop := t.Start(sp)
		t.Until("it works", func() bool { return lanes(sp, "organ") == 1 })
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
	var events []eventstore.Event
	for i := range 60 {
		events = append(events, Event(fmt.Sprint("s-", i), "in", i))
	}
	t.Put(events...)
	tap := t.Tap()
	t.Drain(t.Spine(t.Open(tap), spine.Config{}, o))
	if n := tap.Writes.Load(); n > 10 {
		t.Errorf("60 events took %d commits", n)
	}
}

// innocent cuts processes off in the handler of one event, but not for ever; nobody is to blame.
func innocent(t *Trial) {
	crowd(t)
	m := moodyOn()
	var kills atomic.Int64
	n := fate(t, 10, func(kill func()) Organ {
		o := On("organ", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
			if N(in.Event) == 5 && kills.Add(1) <= 4 {
				kill()
			}
			return m.handle(ctx, in)
		})
		o.Policy.Partitions = 1
		return o
	})
	if n != 4 {
		t.Errorf("%d processes were cut off, want 4", n)
	}
	t.WantParked("organ")
	for i := range 10 {
		t.WantNumbers(fmt.Sprint("copy.s-", i), t.Numbers(fmt.Sprint("s-", i))...)
	}
}
