package storetest

import (
	"fmt"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

func atomicity() promise {
	p := promise{
		name: "Atomicity",
		says: "a commit is visible whole or not at all, its checkpoints, deliveries, schedules and parked entries included",
		checks: []check{
			{name: "readers see all events of a commit or none", heavy: true, run: wholeCommits},
			{name: "events and checkpoints appear together", heavy: true, needs: []Capability{Leaser}, run: eventsWithCheckpoints},
			{name: "parked entries and checkpoints appear together", heavy: true, needs: []Capability{Leaser, Parker}, run: parksWithCheckpoints},
			{name: "deliveries and checkpoints appear together", heavy: true, needs: []Capability{Leaser, Deliverer}, run: deliveriesWithCheckpoints},
			{name: "a schedule goes into the log and out of the schedules at once", heavy: true, needs: []Capability{Scheduler}, run: firedWhole},
		},
	}
	for _, spoil := range spoilers() {
		p.checks = append(p.checks, check{
			name:  "nothing is left of a commit refused for " + spoil.name,
			needs: spoil.needs,
			run:   func(t *trial) { refusedWhole(t, spoil) },
		})
	}
	return p
}

// spoiler makes a good commit one that must be refused.
type spoiler struct {
	name   string
	needs  []Capability
	target error
	spoil  func(t *trial, c *eventstore.Commit)
}

func spoilers() []spoiler {
	return []spoiler{
		{"its last expected version", nil, eventstore.ErrConflict, func(_ *trial, c *eventstore.Commit) {
			c.Appends = append(c.Appends, expecting(eventstore.NoStream, "whole-old", event("spoilt")))
		}},
		{"its last condition", nil, eventstore.ErrConflict, func(_ *trial, c *eventstore.Commit) {
			*c = unless(unless(*c, eventstore.OfType("never happened"), 0), eventstore.OfType("stored"), 0)
		}},
		{"a reused id in its last append", nil, eventstore.ErrIDReused, func(t *trial, c *eventstore.Commit) {
			c.Appends = append(c.Appends, to("whole-new", t.all(t.store)[0]))
		}},
		{"a stale epoch in its last checkpoint", []Capability{Leaser}, eventstore.ErrFenced, func(t *trial, c *eventstore.Commit) {
			stale := t.claim(t.store, "whole-former", "whole-other", 1)[0]
			t.takeOver(t.store, "whole-former", "whole-next", "whole-other", 1)
			c.Checkpoints = append(c.Checkpoints, checkpoint(stale, 1))
		}},
		{"a parked entry that is gone", []Capability{Leaser, Parker}, eventstore.ErrFenced, func(_ *trial, c *eventstore.Commit) {
			c.Unparks = append(c.Unparks, newID())
		}},
		{"an ack of an older attempt", []Capability{Leaser, Deliverer}, eventstore.ErrFenced, func(t *trial, c *eventstore.Commit) {
			c.Acks = append(c.Acks, acked(t.older()))
		}},
		{"a return of an older attempt", []Capability{Leaser, Deliverer}, eventstore.ErrFenced, func(t *trial, c *eventstore.Commit) {
			c.Returns = append(c.Returns, returned(t.older(), past(1), "too late"))
		}},
	}
}

func refusedWhole(t *trial, spoil spoiler) {
	old := event("stored")
	t.add(t.store, "whole-old", old)
	c := appends(to("whole-new", eventsOf(2, "lost")...), to("whole-old", event("lost")))
	if t.has(Scheduler) {
		called := later(future(1), "whole-later", event("kept"))
		t.commit(t.store, eventstore.Commit{Schedules: []eventstore.Schedule{called}})
		c.Schedules = []eventstore.Schedule{later(future(2), "whole-later", event("lost"))}
		c.Cancels = []uuid.UUID{called.ID}
	}
	if t.has(Leaser) {
		lease := t.claim(t.store, "whole-member", "whole", 1)[0]
		if t.has(Parker) {
			kept := entry(lease, "kept", old)
			t.commit(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(lease, 0)}, Parks: []eventstore.Parked{kept}})
			c.Parks = []eventstore.Parked{entry(lease, "lost", old)}
			c.Unparks, c.Redrives = []uuid.UUID{kept.ID}, []uuid.UUID{kept.ID}
		}
		if t.has(Deliverer) {
			t.deliver(lease, 1, 2)
			held := t.take(t.store, "whole", 2)
			c.Deliveries = []eventstore.Delivery{toDeliver("whole", 3)}
			c.Acks, c.Returns = []eventstore.Ack{acked(held[0])}, []eventstore.Return{returned(held[1], past(1), "lost")}
		}
		c.Checkpoints = []eventstore.Checkpoint{checkpoint(lease, 1)}
	}
	spoil.spoil(t, &c)
	t.refused(t.store, c, spoil.target)
}

// older is a delivery in an attempt that is over.
func (t *trial) older() eventstore.Delivery {
	t.Helper()
	t.deliver(t.feeder("whole-window"), 1)
	d := t.takeOne(t.store, "whole-window")
	t.commit(t.store, eventstore.Commit{Returns: []eventstore.Return{returned(d, past(1), "it failed")}})
	t.takeOne(t.store, "whole-window")
	return d
}

func wholeCommits(t *trial) {
	stores := t.pair()
	const writers, commits, size = 4, 20, 5
	done := make(chan struct{})
	defer func() { <-done }()
	go func() {
		defer close(done)
		together(writers, func(w int) {
			for n := range commits {
				label := fmt.Sprintf("commit:%d-%d", w, n)
				c := appends(
					to("pieces-1", event("piece", label), event("odd piece", label)),
					to(eventstore.StreamOf("pieces", label), event("piece", label)),
					to("pieces-2", event("odd piece", label), event("piece", label)),
				)
				if _, err := stores[w%2].Commit(t.ctx, c); err != nil {
					t.Errorf("could not try whether %s: %v", t.says, err)
					return
				}
			}
		})
	}()
	views := []struct {
		query eventstore.Query
		r     eventstore.Range
		size  int
	}{
		{eventstore.All(), eventstore.Range{}, size},
		{eventstore.All(), eventstore.Range{Backward: true}, size},
		{eventstore.OfType("odd piece"), eventstore.Range{}, 2},
		{eventstore.InStream("pieces-1").Or(eventstore.InStream("pieces-2")), eventstore.Range{}, 4},
	}
	together(len(views), func(i int) {
		for over := false; !over && !t.Failed(); {
			select {
			case <-done:
				over = true
			default:
			}
			seen := map[string]int{}
			for e, err := range stores[i%2].Read(t.ctx, views[i].query, views[i].r) {
				if err != nil {
					t.Errorf("could not try whether %s: %v", t.says, err)
					return
				}
				seen[e.Tags[0]]++
			}
			for label, n := range seen {
				if n != views[i].size {
					t.broken("a reader of %s saw %d of the %d events of %s", showQuery(views[i].query), n, views[i].size, label)
				}
			}
		}
	})
}

func eventsWithCheckpoints(t *trial) {
	lease := t.claim(t.store, "member", "together", 1)[0]
	other := t.another()
	done := make(chan struct{})
	defer func() { <-done }()
	go func() {
		defer close(done)
		for n := range eventstore.Position(40) {
			c := appends(to("together-1", event("handled")))
			c.Checkpoints = []eventstore.Checkpoint{{Consumer: "together", Epoch: lease.Epoch, From: n, To: n + 1}}
			if _, err := t.store.Commit(t.ctx, c); err != nil {
				t.Errorf("could not try whether %s: %v", t.says, err)
				return
			}
		}
	}()
	head := func() eventstore.Position {
		head, err := other.Head(t.ctx)
		t.need(err, "head")
		return head
	}
	for over := false; !over && !t.Failed(); {
		select {
		case <-done:
			over = true
		default:
		}
		stands := t.roster(other, "together").Position()
		if h := head(); h < stands {
			t.broken("the checkpoint stood at %d while the events committed with it went up to %d", stands, h)
		}
		h := head()
		if stands := t.roster(other, "together").Position(); stands < h {
			t.broken("the events stood at %d while the checkpoint committed with them stood at %d", h, stands)
		}
	}
}

// firedWhole looks at the schedules and the log while one fires, in both orders.
func firedWhole(t *trial) {
	other := t.another()
	const n = 25
	for i := range n {
		t.commit(t.store, eventstore.Commit{Schedules: []eventstore.Schedule{later(past(i), "fired-1", event("fired"))}})
	}
	done := make(chan struct{})
	defer func() { <-done }()
	go func() {
		defer close(done)
		for range n {
			if _, _, err := t.scheduler(t.store).Fire(t.ctx, 1); err != nil {
				t.Errorf("could not try whether %s: %v", t.says, err)
				return
			}
		}
	}()
	for over := false; !over && !t.Failed(); {
		select {
		case <-done:
			over = true
		default:
		}
		before := len(t.all(other))
		waiting := len(t.scheduled(other))
		after := len(t.all(other))
		if waiting > n-before || waiting < n-after {
			t.broken("of %d schedules %d were waiting, while between %d and %d had fired", n, waiting, before, after)
		}
	}
}
