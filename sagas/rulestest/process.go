package rulestest

import (
	"errors"
	"slices"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

// What a process manager hears of: all events have the tag parcel:ID but those that follow from its commands.
type (
	packed struct{ Parcel string }
	seen   struct{ At string }

	parcel struct {
		ID    string
		Seen  []string
		Fired int
	}
)

func (packed) EventType() string { return "packed" }
func (seen) EventType() string   { return "seen" }

// parcels watches parcels: one that is not seen in time is looked for, and one that is found home is done with.
func (t *trial) parcels(missing sagas.Missing, late time.Duration) sagas.Process[parcel] {
	return sagas.Process[parcel]{
		Name: "parcel",
		Key:  eventstore.ByTag("parcel"),
		Evolve: sagas.Evolve[parcel]{
			sagas.On(func(p *parcel, e packed) { p.ID = e.Parcel }),
			sagas.On(func(p *parcel, e seen) { p.Seen = append(p.Seen, e.At) }),
			sagas.On(func(p *parcel, _ did) { p.Seen = append(p.Seen, "found") }),
		},
		React: sagas.Reactions[parcel]{
			sagas.Start(func(_ parcel, _ packed) sagas.Actions {
				return sagas.Actions{sagas.SetTimer("late", late), sagas.SetTimer("never", time.Hour)}
			}),
			sagas.When(func(_ parcel, e seen) sagas.Actions {
				switch e.At {
				case "home":
					return sagas.Actions{sagas.Done(), sagas.SetTimer("after the end", time.Second)}
				case "depot":
					return sagas.Actions{sagas.CancelTimer("late"), sagas.CancelTimer("of no name")}
				case "nowhere":
					panic("where is that?")
				}
				return sagas.Actions{sagas.SetTimer("late", 20*t.unit)}
			}),
			sagas.When(func(_ parcel, _ did) sagas.Actions { return sagas.Actions{sagas.CancelTimer("late")} }),
			sagas.When(func(_ parcel, _ spine.Rejected) sagas.Actions { return sagas.Actions{sagas.Done()} }),
			sagas.OnTimer("late", func(p parcel) sagas.Actions { return sagas.Actions{sagas.Send(act{p.ID, "look"})} }),
		},
		Sends:   []spine.Command{act{}},
		Missing: missing,
		Policy:  spine.Policy{Retry: spine.Retry{Attempts: 2, Base: time.Millisecond}},
	}
}

// watch is a process manager at work.
type watch struct {
	*play

	process sagas.Process[parcel]
}

func (t *trial) watch(missing sagas.Missing, late time.Duration) *watch {
	t.Helper()
	w := &watch{&play{trial: t}, t.parcels(missing, late)}
	w.sp = t.Spine(t.Store, spine.Config{MaxSteps: 200_000}, w.process, t.world.near())
	return w
}

func (w *watch) emit(p eventstore.Payload, parcels ...string) {
	w.Helper()
	d := eventstore.Draft{Payload: p, Stream: "parcels-all"}
	for _, id := range parcels {
		d.Tags = append(d.Tags, "parcel:"+id)
	}
	_, err := w.sp.Emit(w.Ctx, d)
	w.must(err)
}

func (w *watch) want(id string, moves ...string) {
	w.Helper()
	line, err := w.process.Instances(w.Store).Show(w.Ctx, id)
	w.must(err)
	if got := told(line); !slices.Equal(got, moves) {
		w.Errorf("it came to %q, want %q", got, moves)
	}
	due := map[string]time.Time{}
	for _, e := range line.Entries {
		if e.What == sagas.Fired && e.Time.Before(due[e.Step]) {
			w.Errorf("timer %s fired at %s, before %s", e.Step, e.Time, due[e.Step])
		}
		due[e.Step] = e.Until
	}
}

func (w *watch) wantNone(id string) {
	w.Helper()
	if line, err := w.process.Instances(w.Store).Show(w.Ctx, id); !errors.Is(err, sagas.ErrNoInstance) {
		w.Errorf("there is an instance: %q, %v", told(line), err)
	}
}

// soon plays for some time, and no longer.
func (w *watch) soon(units int) {
	w.Helper()
	end := time.Now().Add(time.Duration(units) * w.unit)
	for next := w.Drain(w.sp); !next.IsZero() && next.Before(end); next = w.Drain(w.sp) {
		w.pass(time.Until(next))
	}
}

// processes is about process managers.
func processes() []rule {
	return list([]rule{
		{"a timer fires once, when nothing has stopped it, and what follows from its command comes back", func(t *trial) {
			w := t.watch(sagas.MissingIgnore, 10*t.unit)
			w.emit(packed{"1"}, "1")
			w.until(func() bool { return w.asked("look", "1") })
			w.Drain(w.sp)
			w.want("1", "took packed", "set late", "set never", "fired late", "sent act", "took did")
			w.emit(seen{"home"}, "1")
			if next := w.Drain(w.sp); !next.IsZero() {
				t.Errorf("it has ended, and something is due at %s", next)
			}
			w.want("1", "took packed", "set late", "set never", "fired late", "sent act", "took did", "took seen", "set after the end", "stopped after the end", "stopped never", "turned completed")
		}},
		{"a command that is refused comes back as well", func(t *trial) {
			t.world.will("look", no)
			w := t.watch(sagas.MissingIgnore, 10*t.unit)
			w.emit(packed{"1"}, "1")
			w.end()
			w.want("1", "took packed", "set late", "set never", "fired late", "sent act", "took command rejected", "stopped never", "turned completed")
		}},
		{"a timer is set anew and stopped by its name", func(t *trial) {
			w := t.watch(sagas.MissingIgnore, 10*t.unit)
			w.emit(packed{"1"}, "1")
			w.emit(packed{"2"}, "2")
			w.emit(seen{"the road"}, "1")
			w.emit(seen{"depot"}, "2")
			begun := time.Now()
			w.until(func() bool { return w.asked("look", "1") })
			if d := time.Since(begun); d < 19*t.unit {
				t.Errorf("it fired after %s", d)
			}
			w.want("1", "took packed", "set late", "set never", "took seen", "set late", "fired late", "sent act", "took did")
			w.want("2", "took packed", "set late", "set never", "took seen", "stopped late")
		}},
		{"timers fire once each after a time when nobody was there", func(t *trial) {
			w := t.watch(sagas.MissingIgnore, 10*t.unit)
			for _, id := range []string{"1", "2", "3"} {
				w.emit(packed{id}, id)
			}
			w.Drain(w.sp)
			t.pass(12 * t.unit) // they have been due for a while
			w.soon(1)
			for _, id := range []string{"1", "2", "3"} {
				w.want(id, "took packed", "set late", "set never", "fired late", "sent act", "took did")
			}
		}},
		{"what comes after the end, or for nobody, changes nothing", func(t *trial) {
			w := t.watch(sagas.MissingIgnore, time.Hour/2)
			w.emit(packed{"1"}, "1")
			w.emit(seen{"home"}, "1")
			w.emit(seen{"depot"}, "1")
			w.emit(packed{"1"}, "1")
			w.emit(seen{"depot"})
			w.emit(seen{"depot"}, "9")
			w.Drain(w.sp)
			w.want("1", "took packed", "set late", "set never", "took seen", "set after the end", "stopped after the end", "stopped late", "stopped never", "turned completed")
			w.wantNone("9")
			w.wantParked()
		}},
		{"an event that begins an instance and has no key is parked", func(t *trial) {
			w := t.watch(sagas.MissingIgnore, time.Hour/2)
			w.emit(packed{"1"})
			w.emit(packed{"2"}, "2")
			w.Drain(w.sp)
			w.wantParked("saga.parcel")
			w.want("2", "took packed", "set late", "set never")
		}},
		{"an event for several instances is taken up by each", func(t *trial) {
			w := t.watch(sagas.MissingIgnore, time.Hour/2)
			for _, id := range []string{"1", "2", "3"} {
				w.emit(packed{id}, id)
			}
			w.emit(seen{"depot"}, "1", "3")
			w.Drain(w.sp)
			for _, id := range []string{"1", "3"} {
				w.want(id, "took packed", "set late", "set never", "took seen", "stopped late")
			}
			w.want("2", "took packed", "set late", "set never")
		}},
		{"one that panics at it holds up no other", func(t *trial) {
			w := t.watch(sagas.MissingIgnore, time.Hour/2)
			for _, id := range []string{"1", "2", "3"} {
				w.emit(packed{id}, id)
			}
			w.emit(seen{"nowhere"}, "2")
			w.emit(seen{"home"}, "1", "2", "3")
			w.soon(5)
			for _, id := range []string{"1", "3"} {
				w.want(id, "took packed", "set late", "set never", "took seen", "set after the end", "stopped after the end", "stopped late", "stopped never", "turned completed")
			}
			w.want("2", "took packed", "set late", "set never")
			for _, e := range w.Parked("saga.parcel") {
				if e.Key != "2" {
					t.Errorf("parked for %s", e.Key)
				}
			}
		}},
		{"an operator can cancel one, and then nothing more comes of it", func(t *trial) {
			w := t.watch(sagas.MissingIgnore, time.Hour/2)
			w.emit(packed{"1"}, "1")
			w.emit(seen{"depot"}, "1")
			w.Drain(w.sp)
			w.must(w.process.Instances(w.Store).Cancel(w.Ctx, "1", by))
			if err := w.process.Instances(w.Store).Cancel(w.Ctx, "1", by); !errors.Is(err, sagas.ErrNotNow) {
				t.Errorf("cancel twice: %v", err)
			}
			if err := w.process.Instances(w.Store).Suspend(w.Ctx, "1", by); !errors.Is(err, sagas.ErrNotNow) {
				t.Errorf("suspend: %v", err)
			}
			w.emit(seen{"depot"}, "1")
			if next := w.Drain(w.sp); !next.IsZero() {
				t.Errorf("something is due at %s", next)
			}
			w.want("1", "took packed", "set late", "set never", "took seen", "stopped late", "stopped never", "turned cancelled by ann: it must go on")
		}},
	}, each("an event whose instance has not begun", map[string]struct {
		missing sagas.Missing
		begins  bool
		parked  int
	}{
		"ignored":      {sagas.MissingIgnore, false, 0},
		"begins it":    {sagas.MissingStart, true, 0},
		"is parked":    {sagas.MissingPark, false, 1},
		"fails, again": {sagas.MissingFail, false, 2},
	}, func(t *trial, c struct {
		missing sagas.Missing
		begins  bool
		parked  int
	},
	) {
		w := t.watch(c.missing, time.Hour/2)
		w.emit(seen{"depot"}, "1")
		w.Drain(w.sp)
		if c.begins {
			w.want("1", "took seen")
		} else {
			w.wantNone("1")
		}
		parked := w.Parked("saga.parcel")
		if (len(parked) > 0) != (c.parked > 0) || len(parked) > 0 && parked[0].Attempts != c.parked {
			t.Errorf("parked are %+v", parked)
		}
	}))
}

// asked reports whether somebody who takes part was asked about a step.
func (w *watch) asked(step, id string) bool { return w.world.asks(step, id) > 0 }
