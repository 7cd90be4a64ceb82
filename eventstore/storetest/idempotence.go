package storetest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

func idempotence() promise {
	p := promise{
		name: "Idempotence",
		says: "the same commit sent again returns its first result and writes nothing; any other use of an id a second time is ErrIDReused",
		checks: []check{
			{name: "no event id is used twice", heavy: true, run: func(t *trial) { reuseEach(t, eventReuses()) }},
			{name: "no id in a schedule is used twice", heavy: true, needs: []Capability{Scheduler}, run: func(t *trial) { reuseEach(t, scheduleReuses()) }},
			{name: "of many senders of one commit all get the one result", run: resendRace},
			{name: "a commit is known again though its lease has passed on and its conditions are broken", needs: []Capability{Leaser}, run: idsBeforeFence},
			{name: "a checkpoint that stands already counts as made", needs: []Capability{Leaser}, run: checkpointResent},
			{name: "known events under a checkpoint that was not made are another commit's", needs: []Capability{Leaser}, run: eventsUnderNewCheckpoint},
			{name: "a schedule sent again after it fired does not come back", needs: []Capability{Scheduler}, run: resentAfterFiring},
			{name: "a schedule sent again after it was cancelled does not come back", needs: []Capability{Scheduler}, run: resentAfterCancel},
			{name: "ids are checked before fences and fences before conditions", needs: []Capability{Leaser}, run: orderOfChecks},
		},
	}
	for _, r := range resends() {
		p.checks = append(p.checks, check{
			name:  "sent again it writes nothing: " + r.name,
			needs: r.needs,
			run: func(t *trial) {
				t.add(t.store, "again-0", event("stored"))
				resend(t, r.commit(t))
			},
		})
	}
	return p
}

// resendable is a commit that is recognised when it comes again, made for a log that holds one event.
type resendable struct {
	name   string
	needs  []Capability
	commit func(t *trial) eventstore.Commit
}

func resends() []resendable {
	leased, scheduled, delivered := []Capability{Leaser}, []Capability{Scheduler}, []Capability{Leaser, Deliverer}
	return []resendable{
		{"one event", nil, func(*trial) eventstore.Commit {
			return appends(to("again-1", event("sent")))
		}},
		{"several events to several streams", nil, func(*trial) eventstore.Commit {
			return appends(to("again-1", eventsOf(3, "sent")...), to("again-2", event("sent")), to("again-1", event("sent")))
		}},
		{"an expectation that it has made stale itself", nil, func(*trial) eventstore.Commit {
			return appends(expecting(eventstore.NoStream, "again-new", eventsOf(2, "sent")...))
		}},
		{"a condition that it has broken itself", nil, func(*trial) eventstore.Commit {
			return unless(appends(to("again-1", event("sent once"))), eventstore.OfType("sent once"), 0)
		}},
		{"events with a checkpoint", leased, func(t *trial) eventstore.Commit {
			c := appends(to("again-1", eventsOf(2, "sent")...))
			c.Checkpoints = []eventstore.Checkpoint{checkpoint(t.claim(t.store, "sender", "again", 1)[0], 1)}
			return c
		}},
		{"checkpoints alone", leased, func(t *trial) eventstore.Commit {
			l := t.claim(t.store, "sender", "again", 3)
			return eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(l[2], 7), checkpoint(l[0], 3), checkpoint(l[1], 0)}}
		}},
		{"a checkpoint with a parked entry", []Capability{Leaser, Parker}, func(t *trial) eventstore.Commit {
			l := t.claim(t.store, "sender", "again", 1)[0]
			return eventstore.Commit{
				Checkpoints: []eventstore.Checkpoint{checkpoint(l, 1)},
				Parks:       []eventstore.Parked{entry(l, "key", t.all(t.store)[0])},
			}
		}},
		{"a checkpoint with an entry taken back", []Capability{Leaser, Parker}, func(t *trial) eventstore.Commit {
			l := t.claim(t.store, "sender", "again", 1)[0]
			p := entry(l, "key", t.all(t.store)[0])
			t.commit(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(l, 1)}, Parks: []eventstore.Parked{p}})
			l.Position = 1
			return eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(l, 2)}, Unparks: []uuid.UUID{p.ID}}
		}},
		{"events with an entry taken back", []Capability{Leaser, Parker}, func(t *trial) eventstore.Commit {
			l := t.claim(t.store, "sender", "again", 1)[0]
			p := entry(l, "key", t.all(t.store)[0])
			t.commit(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(l, 1)}, Parks: []eventstore.Parked{p}})
			c := appends(to("again-1", event("redriven")))
			c.Unparks = []uuid.UUID{p.ID}
			return c
		}},
		{"a checkpoint with a delivery", delivered, func(t *trial) eventstore.Commit {
			c := delivering(t.feeder("again"), toDeliver("again", 1))
			c.Checkpoints[0].To = 1
			return c
		}},
		{"events with a delivery that is done", delivered, func(t *trial) eventstore.Commit {
			t.deliver(t.feeder("again"), 1, 2)
			c := appends(to("again-1", eventsOf(2, "sent")...))
			c.Acks = []eventstore.Ack{acked(t.takeOne(t.store, "again"))}
			return c
		}},
		{"events with a delivery returned", delivered, func(t *trial) eventstore.Commit {
			t.deliver(t.feeder("again"), 1)
			c := appends(to("again-1", event("sent")))
			c.Returns = []eventstore.Return{returned(t.takeOne(t.store, "again"), past(1), "it failed")}
			return c
		}},
		{"a redrive alone", []Capability{Leaser, Parker}, func(t *trial) eventstore.Commit {
			l := t.claim(t.store, "sender", "again", 1)[0]
			p := entry(l, "key", t.all(t.store)[0])
			t.park(l, p)
			return eventstore.Commit{Redrives: []uuid.UUID{p.ID}}
		}},
		{"schedules alone", scheduled, func(*trial) eventstore.Commit {
			return eventstore.Commit{Schedules: []eventstore.Schedule{
				later(future(2), "again-1", eventsOf(2, "due")...), later(future(1), "again-2", event("due")),
			}}
		}},
		{"events with a schedule", scheduled, func(*trial) eventstore.Commit {
			c := appends(to("again-1", event("sent")))
			c.Schedules = []eventstore.Schedule{later(future(1), "again-1", event("due"))}
			return c
		}},
		{"events with a cancel", scheduled, func(t *trial) eventstore.Commit {
			s := later(future(1), "again-1", event("due"))
			t.commit(t.store, eventstore.Commit{Schedules: []eventstore.Schedule{s}})
			c := appends(to("again-1", event("sent")))
			c.Cancels = []uuid.UUID{s.ID}
			return c
		}},
		{"a cancel alone", scheduled, func(t *trial) eventstore.Commit {
			s := later(future(1), "again-1", event("due"))
			t.commit(t.store, eventstore.Commit{Schedules: []eventstore.Schedule{s}})
			return eventstore.Commit{Cancels: []uuid.UUID{s.ID}}
		}},
	}
}

// resend sends a commit again and again. The result stays the first one, and the log stays as it is.
func resend(t *trial, c eventstore.Commit) {
	first, err := t.store.Commit(t.ctx, c)
	t.need(err, "commit %s", showCommit(c))
	again := func(s *eventstore.Store, when string) {
		t.Helper()
		before := t.dump(s)
		r, err := s.Commit(t.ctx, c)
		if err != nil {
			t.brokenNow("%s, the commit %s failed with %q; its first result was %+v", when, showCommit(c), err, first)
		}
		if r.First != first.First || r.Position != first.Position || !slices.Equal(r.Versions, first.Versions) {
			t.brokenNow("%s, the commit %s came to %+v; its first result was %+v", when, showCommit(c), r, first)
		}
		if after := t.dump(s); after != before {
			t.brokenNow("%s, the commit %s changed something:\n%s", when, showCommit(c), difference(before, after))
		}
	}
	other := t.another()
	again(t.store, "sent again")
	again(other, "sent again by another connection")
	t.add(other, "again-1", eventsOf(2, "meanwhile")...)
	t.add(other, "again-2", event("meanwhile"))
	t.add(other, "again-new", event("meanwhile"))
	again(t.store, "sent again after other commits to its streams")
}

func resendRace(t *trial) {
	stores := t.pair()
	for n := range 6 {
		stream := eventstore.StreamOf("again", fmt.Sprint(n))
		c := unless(appends(expecting(eventstore.NoStream, stream, eventsOf(2, "sent")...)), eventstore.InStream(stream), 0)
		results := make([]eventstore.Result, racers)
		together(racers, func(i int) {
			var err error
			if results[i], err = stores[i%2].Commit(t.ctx, c); err != nil {
				t.broken("one of %d senders of the same commit was told: %v", racers, err)
			}
		})
		for _, r := range results {
			if r.Position != eventstore.Position(2*n+2) || r.Version() != 2 {
				t.brokenNow("one of %d senders of the same commit was told %+v; it stands at %d", racers, r, 2*n+2)
			}
		}
		if got, _ := t.read(t.store, eventstore.InStream(stream), eventstore.Range{}); len(got) != 2 {
			t.brokenNow("a commit of two events, sent %d times at once, left %s", racers, showAll(got))
		}
	}
}

func idsBeforeFence(t *trial) {
	lease := t.claim(t.store, "sender", "again", 1)[0]
	c := unless(appends(expecting(eventstore.NoStream, "again-1", event("sent"))), eventstore.OfType("sent"), 0)
	c.Checkpoints = []eventstore.Checkpoint{checkpoint(lease, 1)}
	first := t.commit(t.store, c)
	next := t.takeOver(t.store, "sender", "successor", "again", 1)[0]
	t.commit(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(next, 5)}})
	before := t.dump(t.store)
	r, err := t.store.Commit(t.ctx, c)
	if err != nil || r.Position != first.Position {
		t.broken("after its lease had passed on, the commit %s came to %+v, %v; its first result was %+v", showCommit(c), r, err, first)
	}
	if after := t.dump(t.store); after != before {
		t.broken("it changed something:\n%s", difference(before, after))
	}
}

// eventsUnderNewCheckpoint would lose the checkpoint, if the commit were taken for one that was made before.
func eventsUnderNewCheckpoint(t *trial) {
	e := event("sent")
	t.add(t.store, "again-1", e)
	lease := t.claim(t.store, "sender", "again", 1)[0]
	c := appends(to("again-1", e))
	c.Checkpoints = []eventstore.Checkpoint{checkpoint(lease, 4)}
	t.refused(t.store, c, eventstore.ErrIDReused)
	if p := t.roster(t.store, "again").Position(); p != 0 {
		t.broken("the refused commit has moved its checkpoint to %d", p)
	}
}

func checkpointResent(t *trial) {
	lease := t.claim(t.store, "sender", "again", 1)[0]
	c := eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(lease, 4)}}
	t.commit(t.store, c)
	if _, err := t.store.Commit(t.ctx, c); err != nil {
		t.broken("a checkpoint from 0 to 4, sent again, failed: %v", err)
	}
	lease.Position = 4
	t.commit(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(lease, 6)}})
	t.refused(t.store, c, eventstore.ErrFenced)
	fresh := appends(to("again-1", event("sent")))
	fresh.Checkpoints = c.Checkpoints
	fresh.Checkpoints[0].To = 6
	t.refused(t.store, fresh, eventstore.ErrFenced)
}

func orderOfChecks(t *trial) {
	stale := t.claim(t.store, "former", "checked", 1)[0]
	t.takeOver(t.store, "former", "present", "checked", 1)
	used := event("used")
	t.add(t.store, "checked-1", used)
	for _, x := range []struct {
		idReused, fenced, broken bool
		target                   error
	}{
		{true, true, true, eventstore.ErrIDReused},
		{true, true, false, eventstore.ErrIDReused},
		{true, false, true, eventstore.ErrIDReused},
		{false, true, true, eventstore.ErrFenced},
		{false, false, true, eventstore.ErrConflict},
	} {
		for _, byVersion := range []bool{true, false} {
			c := appends(to("checked-2", event("fresh")))
			if x.idReused {
				c.Appends[0].Events = append(c.Appends[0].Events, used)
			}
			if x.fenced {
				c.Checkpoints = []eventstore.Checkpoint{checkpoint(stale, 1)}
			}
			if x.broken && byVersion {
				c.Appends[0].Expect = eventstore.Exact(9)
			} else if x.broken {
				c = unless(c, eventstore.OfType("used"), 0)
			}
			err := t.refusal(t.store, c, x.target)
			for _, other := range []error{eventstore.ErrIDReused, eventstore.ErrFenced, eventstore.ErrConflict} {
				if !errors.Is(x.target, other) && errors.Is(err, other) {
					t.broken("the error %q is both %q and %q", err, x.target, other)
				}
			}
		}
	}
}
