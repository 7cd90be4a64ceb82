package storetest

import (
	"fmt"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

func durability() promise {
	return promise{
		name: "Durability",
		says: "what was acknowledged survives, and everyone sees it at once",
		checks: []check{
			{name: "what was acknowledged is there for every other connection", run: acknowledgedIsThere},
			{name: "what was acknowledged is there after all connections were closed", run: survivesClose},
			{name: "an index never lags behind the log", heavy: true, run: indexesKeepUp},
		},
	}
}

// fill writes some of everything that a backend keeps.
func (t *trial) fill() {
	t.Helper()
	first := event("filled", "fill:1", "fill:all")
	first.Metadata = eventstore.Metadata{Actor: "someone", User: map[string]string{"k": "v"}}
	t.commit(t.store, appends(to("fill-1", first), to("fill-2", eventsOf(2, "filled", "fill:all")...)))
	if t.has(Scheduler) {
		called := later(future(1), "fill-1", event("called off"))
		t.commit(t.store, eventstore.Commit{Schedules: []eventstore.Schedule{called, later(future(2), "fill-1", event("scheduled"))}})
		t.commit(t.store, eventstore.Commit{Cancels: []uuid.UUID{called.ID}})
	}
	if t.has(Leaser) {
		for i, lease := range t.claim(t.store, "filler", "fill", 3) {
			c := eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(lease, eventstore.Position(i))}}
			if t.has(Parker) {
				c.Parks = []eventstore.Parked{entry(lease, fmt.Sprint("key ", i), t.all(t.store)[i])}
			}
			t.commit(t.store, c)
		}
		t.fillConsumers()
	}
}

// fillConsumers has a consumer redefined, one paused, an entry redriven, and deliveries of every kind.
func (t *trial) fillConsumers() {
	t.Helper()
	t.redefined(t.store, t.defineAs(t.store, wholly("filled anew")))
	t.define(t.store, "filled and paused", 2)
	if t.has(Controller) {
		t.pause(t.store, "filled and paused", true)
	}
	if t.has(Parker) {
		t.commit(t.store, eventstore.Commit{Redrives: []uuid.UUID{t.parked(t.store, eventstore.ParkedFilter{})[0].ID}})
	}
	if t.has(Deliverer) {
		t.deliver(t.feeder("filled window"), 1, 2, 3)
		got := t.take(t.store, "filled window", 2)
		t.commit(t.store, eventstore.Commit{Returns: []eventstore.Return{returned(got[0], past(1), "it failed")}})
	}
}

func acknowledgedIsThere(t *trial) {
	other := t.another()
	for n := range 10 {
		t.add(t.store, "there-1", event("written"))
		if got := t.all(other); len(got) != n+1 {
			t.brokenNow("of %d acknowledged events another connection saw %d", n+1, len(got))
		}
	}
	t.fill()
	if mine, theirs := t.dump(t.store), t.dump(other); mine != theirs {
		t.broken("another connection sees something else:\n%s", difference(mine, theirs))
	}
}

func survivesClose(t *trial) {
	t.fill()
	before := t.dump(t.store)
	t.need(t.store.Close(), "close the store")
	other := t.another()
	if after := t.dump(other); after != before {
		t.brokenNow("the log changed while nobody had it open:\n%s", difference(before, after))
	}
	if t.has(Leaser) && t.has(Deliverer) {
		got := t.take(other, "filled window", 10)
		if len(got) != 2 || got[0].Attempt != 2 || len(got[0].Failures) != 1 || got[0].Failures[0].Error != "it failed" || got[1].Attempt != 1 {
			t.broken("of three deliveries one had failed once, one is in somebody's hands, and one was never handed out; handed out is now %+v", got)
		}
	}
	n := len(t.all(other))
	if r := t.add(other, "fill-1", event("filled")); r.Position != eventstore.Position(n+1) || r.Version() != 2 {
		t.broken("the next event of a log of %d, in a stream of 1, was given position %d and version %d", n, r.Position, r.Version())
	}
}

func indexesKeepUp(t *trial) {
	other := t.another()
	for n := range 10 {
		r := t.commit(t.store, appends(to("seat-1", event("seat taken", "seat:1", "row:1"))))
		for _, shape := range raceShapes() {
			got, _ := t.read(other, shape.query, eventstore.Range{})
			if len(got) != n+1 || got[n].Position != r.Position {
				t.brokenNow("the event acknowledged at %d was not found by %s: found %s", r.Position, shape.name, showAll(got))
			}
		}
	}
}
