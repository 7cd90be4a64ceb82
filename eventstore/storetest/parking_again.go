package storetest

import (
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

func filterParked(t *trial) {
	var all []eventstore.Parked
	reasons := []string{"order 17 is gone", "order-18 is gone", "it took 3.5s", "", "it took 20s"}
	for _, consumer := range []string{"one", "two"} {
		for _, l := range t.claim(t.store, "owner of "+consumer, consumer, 3) {
			for _, key := range []string{"a", "b"} {
				p := entry(l, key, eventstore.Event{Position: eventstore.Position(len(all) + 1)})
				p.Failures = []eventstore.Failure{{Error: "order 1 is gone"}, {Error: reasons[len(all)%len(reasons)]}}
				if len(all)%5 == 4 {
					p.Attempts, p.Failures = 0, nil
				}
				all = append(all, p)
				t.park(l, p)
			}
		}
	}
	for _, f := range []eventstore.ParkedFilter{
		{},
		{Consumer: "one"},
		{Consumer: "three"},
		{Key: "a"},
		{Key: "A"},
		{Consumer: "two", Key: "b"},
		{IDs: []uuid.UUID{all[3].ID}},
		{IDs: []uuid.UUID{all[9].ID, newID(), all[2].ID, all[9].ID}},
		{IDs: []uuid.UUID{newID()}},
		{IDs: []uuid.UUID{all[1].ID, all[8].ID}, Consumer: "two"},
		{Group: "order # is gone"},
		{Group: "it took #"},
		{Group: "order 17 is gone"},
		{Group: "# is gone", Consumer: "two"},
		{Group: "it took #.#", Consumer: "two", Key: "b"},
		{Group: "order # is gone", Consumer: "one", Key: "a", IDs: []uuid.UUID{all[0].ID, all[1].ID}},
	} {
		var want, got []uuid.UUID
		for _, p := range all {
			if f.Matches(&p) {
				want = append(want, p.ID)
			}
		}
		for _, p := range t.parked(t.store, f) {
			got = append(got, p.ID)
		}
		if !slices.Equal(got, want) {
			t.broken("the filter %+v selects %d entries; %d were listed, others, or in another order", f, len(want), len(got))
		}
	}
}

// listedOne is the only entry that is parked.
func (t *trial) listedOne(s *eventstore.Store) eventstore.Parked {
	t.Helper()
	got := t.parked(s, eventstore.ParkedFilter{})
	if len(got) != 1 {
		t.brokenNow("one entry is parked, and listed are %+v", got)
	}
	return got[0]
}

func parkAgain(t *trial) {
	l := t.claim(t.store, "owner", "parker", 2)
	p := entry(l[0], "key", eventstore.Event{Position: 1})
	p.Due = future(1)
	t.park(l[0], p)
	first := t.listedOne(t.store)
	changed := entry(l[1], "another", eventstore.Event{ID: newID(), Position: 9})
	changed.ID, changed.Attempts, changed.Due = p.ID, 7, future(2)
	changed.Failures = append(changed.Failures, eventstore.Failure{At: past(2), Error: "it failed again"})
	bare := eventstore.Parked{ID: p.ID, Consumer: "parker", Key: "key", Position: 2}
	for _, next := range []eventstore.Parked{changed, bare} {
		t.tick()
		t.park(l[next.Partition], next)
		got := t.listedOne(t.another())
		if showParked(got) != showParked(next) {
			t.broken("an entry was parked again as\n\t%s; listed is\n\t%s", showParked(next), showParked(got))
		}
		if !got.At.Equal(first.At) {
			t.broken("an entry that was first parked at %s was parked again, and now it says %s", first.At, got.At)
		}
	}
	if got := t.parked(t.store, eventstore.ParkedFilter{Key: "another"}); len(got) > 0 {
		t.broken("the entry was parked again with another key, and is listed under the former one: %s", showParked(got[0]))
	}
}

// tick returns when the store's clock shows a later time.
func (t *trial) tick() {
	t.Helper()
	began := t.clock()
	t.until("the store's clock went on", func() bool { return t.clock().After(began.Add(time.Microsecond)) })
}

func unparkAgain(t *trial) {
	l := t.claim(t.store, "owner", "parker", 1)[0]
	gone, there := entry(l, "a", eventstore.Event{Position: 1}), entry(l, "b", eventstore.Event{Position: 2})
	t.park(l, gone, there)
	alone := eventstore.Commit{Unparks: []uuid.UUID{gone.ID}}
	t.commit(t.store, alone)
	both := eventstore.Commit{Unparks: []uuid.UUID{there.ID, gone.ID}}
	with := appends(to("work-1", event("lost")))
	with.Unparks = both.Unparks
	for _, c := range []eventstore.Commit{alone, both, with} {
		t.names(t.refusal(t.another(), c, eventstore.ErrFenced), gone.ID)
	}
}

func redriveMarks(t *trial) {
	l := t.claim(t.store, "owner", "parker", 1)[0]
	a, b := entry(l, "key", eventstore.Event{Position: 1}), entry(l, "key", eventstore.Event{Position: 2})
	a.Redriven = true // is not the consumer's to say
	t.park(l, a, b)
	marks := func(when string, want ...bool) {
		t.Helper()
		var got []bool
		for _, p := range t.parked(t.another(), eventstore.ParkedFilter{}) {
			got = append(got, p.Redriven)
		}
		if !slices.Equal(got, want) {
			t.broken("%s, the entries are marked as redriven %v, not %v", when, got, want)
		}
	}
	marks("when they were parked", false, false)
	t.commit(t.another(), eventstore.Commit{Redrives: []uuid.UUID{b.ID}})
	marks("when the second was redriven", false, true)
	b.Redriven = true
	if got := t.parked(t.store, eventstore.ParkedFilter{}); showParked(got[1]) != showParked(b) {
		t.broken("redriven was\n\t%s; listed is\n\t%s", showParked(b), showParked(got[1]))
	}
	t.commit(t.store, eventstore.Commit{Redrives: []uuid.UUID{a.ID, b.ID}})
	marks("when both were redriven", true, true)
	a.Redriven = true
	t.park(l, a)
	marks("when the first was parked again", false, true)
}

func redriveGone(t *trial) {
	l := t.claim(t.store, "owner", "parker", 1)[0]
	gone, there := entry(l, "a", eventstore.Event{Position: 1}), entry(l, "b", eventstore.Event{Position: 2})
	t.park(l, gone, there)
	t.commit(t.store, eventstore.Commit{Unparks: []uuid.UUID{gone.ID}})
	before := t.dump(t.store)
	for _, ids := range [][]uuid.UUID{{gone.ID}, {newID(), gone.ID}} {
		if _, err := t.store.Commit(t.ctx, eventstore.Commit{Redrives: ids}); err != nil {
			t.broken("a redrive of what is gone failed: %v", err)
		}
	}
	if after := t.dump(t.store); after != before {
		t.broken("a redrive of what is gone changed something:\n%s", difference(before, after))
	}
	if _, err := t.store.Commit(t.ctx, eventstore.Commit{Redrives: []uuid.UUID{gone.ID, there.ID}}); err != nil {
		t.broken("a redrive of two entries, one of which is gone, failed: %v", err)
	}
	if got := t.listedOne(t.store); got.ID != there.ID || !got.Redriven {
		t.broken("one of two entries was gone when both were redriven; the other is now %s", showParked(got))
	}
}

// tells checks that something makes Roster.Redrives of a consumer grow, and the pulse with it.
func (t *trial) tells(consumer, what string, do func()) {
	t.Helper()
	s := t.patientStore()
	roster := t.roster(t.store, consumer).Redrives
	var seen eventstore.Pulse
	if t.has(Waker) {
		seen = t.now(s)
	}
	do()
	if now := t.roster(t.another(), consumer).Redrives; now <= roster {
		t.brokenNow("%s, and Roster.Redrives went from %d to %d", what, roster, now)
	}
	if t.has(Waker) {
		t.until("the pulse's Roster had grown when "+what, func() bool { return t.now(s).Roster > seen.Roster })
	}
}

func redriveTells(t *trial) {
	l := t.claim(t.store, "owner", "parker", 1)[0]
	a, b := entry(l, "a", eventstore.Event{Position: 1}), entry(l, "b", eventstore.Event{Position: 2})
	t.park(l, a, b)
	t.tells("parker", "an entry was redriven", func() { t.commit(t.store, eventstore.Commit{Redrives: []uuid.UUID{a.ID}}) })
	t.tells("parker", "another entry was redriven, with one that is gone", func() {
		t.commit(t.store, eventstore.Commit{Redrives: []uuid.UUID{newID(), b.ID}})
	})
}

func unparkTells(t *trial) {
	l := t.claim(t.store, "owner", "parker", 1)[0]
	a, b := entry(l, "a", eventstore.Event{Position: 1}), entry(l, "b", eventstore.Event{Position: 2})
	t.park(l, a, b)
	t.tells("parker", "an entry was taken back", func() { t.commit(t.store, eventstore.Commit{Unparks: []uuid.UUID{a.ID}}) })
	t.tells("parker", "an entry was taken back with an event", func() {
		c := appends(to("work-1", event("taken back")))
		c.Unparks = []uuid.UUID{b.ID}
		t.commit(t.store, c)
	})
}
