package storetest

import (
	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// step is something that happens while somebody waits.
type step struct {
	name string
	do   func()
}

// wakes checks that each step wakes who waits, and makes a part of the pulse grow.
func (t *trial) wakes(s *eventstore.Store, part string, of func(p eventstore.Pulse) int64, steps []step) {
	t.Helper()
	for _, x := range steps {
		seen := t.now(s)
		waits := t.pulse(s, seen)
		x.do()
		p := await(t, waits, "the pulse when "+x.name)
		for again := 0; of(p) <= of(seen) && again < 3; again++ { // it may have returned early
			p = t.now(s)
		}
		if of(p) <= of(seen) {
			t.broken("%s, and the pulse's %s went from %d to %d", x.name, part, of(seen), of(p))
		}
	}
}

func wokenByControl(t *trial) {
	s := t.patientStore()
	t.define(s, "pulsing", 1)
	c := eventstore.Consumer{Name: "pulsing", Partitions: 1, Generation: 1}
	steps := []step{
		{"a consumer was redefined", func() { t.redefined(s, c) }},
	}
	if t.has(Controller) {
		steps = append(steps,
			step{"a consumer was paused", func() { t.pause(s, "pulsing", true) }},
			step{"a consumer was resumed", func() { t.pause(s, "pulsing", false) }},
			step{"a consumer was reset", func() { t.reset(s, "pulsing", 0) }},
		)
	}
	if t.has(Parker) {
		l := t.claim(s, "parker", "parking", 1)[0]
		p := entry(l, "key", eventstore.Event{Position: 1})
		t.park(l, p)
		steps = append(steps,
			step{"an entry was redriven", func() { t.commit(s, eventstore.Commit{Redrives: []uuid.UUID{p.ID}}) }},
			step{"an entry was taken back", func() { t.commit(s, eventstore.Commit{Unparks: []uuid.UUID{p.ID}}) }},
		)
	}
	t.wakes(s, "Roster", func(p eventstore.Pulse) int64 { return p.Roster }, steps)
}

func wokenByWindow(t *trial) {
	s := t.patientStore()
	l := t.feeder("pulsing")
	window := func(p eventstore.Pulse) int64 { return p.Window }
	t.wakes(s, "Window", window, []step{
		{"something was delivered", func() { t.commit(s, delivering(l, toDeliver("pulsing", 1))) }},
	})
	d := t.takeOne(s, "pulsing")
	t.wakes(s, "Window", window, []step{
		{"something was returned", func() {
			t.commit(s, eventstore.Commit{Returns: []eventstore.Return{returned(d, past(1), "it failed")}})
		}},
	})
	if t.has(Controller) {
		t.pause(s, "pulsing", true)
		t.wakes(s, "Window", window, []step{
			{"a consumer with deliveries was resumed", func() { t.pause(s, "pulsing", false) }},
		})
	}
}
