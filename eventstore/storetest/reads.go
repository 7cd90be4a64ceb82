package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/necrostack/necrostack/eventstore"
)

func reads() promise {
	return promise{
		name: "Reads",
		says: "a read yields what matches within its range, in order, from one snapshot, and says how far it has looked",
		checks: []check{
			{name: "every range yields what it bounds", heavy: true, run: ranges},
			{name: "a read that was left early reports the last event it yielded", run: leaveEarly},
			{name: "a read sees one snapshot, whatever is committed meanwhile", run: oneSnapshot},
			{name: "long reads are complete and in order", heavy: true, run: longReads},
			{name: "an empty log reads as empty", run: emptyLog},
			{name: "reads may be nested and made at once", run: nestedReads},
			{name: "a read whose context has ended fails and reports no Through", run: endedRead},
			{name: "Head is the position of the last event", run: headOfLog},
		},
	}
}

// library fills the log with events of two types over three streams, and returns what a slice would hold.
func (t *trial) library(n int) []eventstore.Event {
	t.Helper()
	var log []eventstore.Event
	for i := range n {
		e := event([]string{"lent", "returned"}[i%2], fmt.Sprint("shelf:", i%3), fmt.Sprint("row:", i%5))
		stream := eventstore.StreamOf([]string{"book", "map"}[i/2%2], fmt.Sprint(i%3))
		r := t.add(t.store, stream, e)
		e.Stream, e.Position, e.Version = stream, r.Position, r.Version()
		log = append(log, e)
	}
	return log
}

// within is what a read of a slice would be: the events, and Through.
func within(log []eventstore.Event, q eventstore.Query, r eventstore.Range) (got []eventstore.Event, through eventstore.Position) {
	for _, e := range log {
		through = e.Position
		if q.Matches(&e) && e.Position > r.After && (r.UpTo == 0 || e.Position <= r.UpTo) {
			got = append(got, e)
		}
	}
	if r.UpTo > 0 {
		through = min(through, r.UpTo)
	}
	if r.Backward {
		slices.Reverse(got)
	}
	if r.Limit > 0 && len(got) >= r.Limit {
		if got = got[:r.Limit]; !r.Backward {
			through = got[len(got)-1].Position
		}
	}
	return got, through
}

func sameIDs(a, b []eventstore.Event) bool {
	return slices.EqualFunc(a, b, func(x, y eventstore.Event) bool {
		return x.ID == y.ID && x.Position == y.Position && x.Version == y.Version
	})
}

func ranges(t *trial) {
	const n = 12
	log := t.library(n)
	for _, q := range []eventstore.Query{eventstore.All(), eventstore.OfType("lent"), eventstore.InStream("book-0"), eventstore.WithTags("row:4"), {}} {
		for _, after := range []eventstore.Position{0, 1, 5, n - 1, n, n + 1, 1 << 40, 1<<53 - 1} {
			for _, upTo := range []eventstore.Position{0, 1, 4, 5, n - 1, n, n + 7, 1<<53 - 1} {
				for _, limit := range []int{0, 1, 2, n, 1 << 30} {
					for _, backward := range []bool{false, true} {
						r := eventstore.Range{After: after, UpTo: upTo, Limit: limit, Backward: backward}
						got, through := t.read(t.store, q, r)
						want, reach := within(log, q, r)
						if !sameIDs(got, want) {
							t.brokenNow("a read of %s %s in a log of %d gave %s; it should give %s", showQuery(q), showRange(r), n, showAll(got), showAll(want))
						}
						if through != reach {
							t.brokenNow("a read of %s %s in a log of %d reported Through %d; it should be %d", showQuery(q), showRange(r), n, through, reach)
						}
					}
				}
			}
		}
	}
}

func leaveEarly(t *trial) {
	log := t.library(10)
	for stop := range 5 {
		through := eventstore.Position(-1)
		n := 0
		want := log[2*stop].Position
		for e, err := range t.store.Read(t.ctx, eventstore.OfType("lent"), eventstore.Range{Through: &through}) {
			t.need(err, "read")
			if n++; n == stop+1 {
				if e.Position != want {
					t.brokenNow("event %d of its type was %s; it should stand at %d", n, show(e), want)
				}
				break
			}
		}
		if through != want {
			t.broken("a reader left at the event at %d, and Through was %d", want, through)
		}
	}
	t.add(t.store, "after-1", event("after")) // nothing is held on to by reads that were left
}

func oneSnapshot(t *trial) {
	const n = 30
	t.library(n)
	other := t.another()
	for _, r := range []eventstore.Range{{}, {Backward: true}, {After: 3, Limit: 2 * n}} {
		head, err := t.store.Head(t.ctx)
		t.need(err, "head")
		through, seen := eventstore.Position(-1), eventstore.Position(0)
		r.Through = &through
		for e, err := range t.store.Read(t.ctx, eventstore.All(), r) {
			t.need(err, "read")
			if e.Position > head {
				t.brokenNow("a read began when the head was %d, and it yielded %s, which was committed while it went on", head, show(e))
			}
			if seen++; seen%5 == 0 {
				t.add(other, "book-0", event("lent"))
			}
		}
		if through != head {
			t.broken("a read began when the head was %d and ended with Through %d", head, through)
		}
	}
}

func longReads(t *trial) {
	const n = 3000 // more than any page
	var events []eventstore.Event
	for i := range n {
		events = append(events, event([]string{"even", "odd"}[i%2], fmt.Sprint("residue:", i%7)))
	}
	t.commit(t.store, appends(to("long-1", events[:n/2]...), to("long-2", events[n/2:]...)))
	for _, q := range []eventstore.Query{
		eventstore.All(), eventstore.OfType("odd"), eventstore.InStream("long-2"), eventstore.WithTags("residue:3").Or(eventstore.OfType("even")),
	} {
		for _, r := range []eventstore.Range{{}, {Backward: true}, {After: 100, UpTo: n - 100}, {Limit: 1001, Backward: true}, {Limit: 1999}} {
			got, through := t.read(t.store, q, r)
			for i := range events {
				events[i].Position = eventstore.Position(i + 1)
				events[i].Version = eventstore.Version(i%(n/2) + 1)
				events[i].Stream = eventstore.Stream(fmt.Sprint("long-", 1+i/(n/2)))
			}
			want, reach := within(events, q, r)
			if !sameIDs(got, want) || through != reach {
				at := 0
				for at < min(len(got), len(want)) && got[at].ID == want[at].ID {
					at++
				}
				t.broken("a read of %s %s gave %d events of %d and Through %d, not %d; from event %d on they differ", showQuery(q), showRange(r), len(got), len(want), through, reach, at+1)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	yielded := 0
	for _, err := range t.store.Read(ctx, eventstore.All(), eventstore.Range{}) {
		if yielded++; yielded == 10 {
			cancel()
		}
		if err != nil {
			yielded--
		}
	}
	if yielded == n {
		t.broken("the context of a read ended at event 10 of %d, and the read went on to the last", n)
	}
}

func emptyLog(t *trial) {
	for _, q := range []eventstore.Query{eventstore.All(), {}, eventstore.InStream("none-1"), eventstore.OfType("none"), eventstore.WithTags("none")} {
		for _, r := range []eventstore.Range{{}, {Backward: true}, {After: 5}, {UpTo: 5}, {Limit: 5}} {
			if got, through := t.read(t.store, q, r); len(got) != 0 || through != 0 {
				t.broken("a read of %s %s in an empty log gave %s and Through %d", showQuery(q), showRange(r), showAll(got), through)
			}
		}
	}
}

func nestedReads(t *trial) {
	log := t.library(12)
	outer, _ := within(log, eventstore.OfType("lent"), eventstore.Range{})
	n := 0
	for e, err := range t.store.Read(t.ctx, eventstore.OfType("lent"), eventstore.Range{}) {
		t.need(err, "read")
		inner, _ := t.read(t.store, eventstore.InStream(e.Stream), eventstore.Range{UpTo: e.Position})
		if want, _ := within(log, eventstore.InStream(e.Stream), eventstore.Range{UpTo: e.Position}); !sameIDs(inner, want) || e.ID != outer[n].ID {
			t.brokenNow("a read within a read gave %s; it should give %s", showAll(inner), showAll(want))
		}
		n++
	}
	together(racers, func(i int) {
		want, _ := within(log, eventstore.All(), eventstore.Range{After: eventstore.Position(i)})
		var got []eventstore.Event
		for e, err := range t.store.Read(t.ctx, eventstore.All(), eventstore.Range{After: eventstore.Position(i)}) {
			if err != nil {
				t.broken("one of %d reads made at once failed: %v", racers, err)
			}
			got = append(got, e)
		}
		if !sameIDs(got, want) {
			t.broken("one of %d reads made at once gave %s", racers, showAll(got))
		}
	})
}

func endedRead(t *trial) {
	t.library(10)
	for _, q := range []eventstore.Query{eventstore.All(), eventstore.OfType("never happened"), {}} {
		for _, leave := range []int{0, 3} {
			ctx, cancel := context.WithCancel(t.ctx)
			if leave == 0 {
				cancel()
			}
			through := eventstore.Position(-1)
			var last error
			n := 0
			for _, err := range t.store.Read(ctx, q, eventstore.Range{Through: &through}) {
				if n++; n == leave {
					cancel()
				}
				last = err
			}
			reachedEnd := n < leave // it never came so far that its context ended
			if !reachedEnd && (!errors.Is(last, context.Canceled) || through != -1) {
				t.broken("a read of %s whose context ended before event %d ended with the error %v and Through %d", showQuery(q), leave+1, last, through)
			}
			cancel()
		}
	}
	t.add(t.store, "after-1", event("after"))
}

func headOfLog(t *trial) {
	for n := range 5 {
		for _, s := range t.pair() {
			if head, err := s.Head(t.ctx); err != nil || head != eventstore.Position(2*n) {
				t.broken("the head of a log of %d events is reported as %d, %v", 2*n, head, err)
			}
		}
		t.add(t.store, "head-1", eventsOf(2, "counted")...)
	}
}
