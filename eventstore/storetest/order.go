package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/necrostack/necrostack/eventstore"
)

func order() promise {
	return promise{
		name: "Order",
		says: "positions are gapless from 1 and follow the order of commits; no reader ever skips an event",
		checks: []check{
			{name: "positions are gapless whatever is refused in between", heavy: true, run: gaplessPositions},
			{name: "the events of a commit stand together as they were given", run: orderWithinCommit},
			{name: "what is committed after an acknowledgement stands behind it", heavy: true, run: realTimeOrder},
			{name: "a reader that tails the log skips nothing while writers overlap", heavy: true, run: tailingReader},
			{name: "a reader that finds nothing goes on from Through and skips nothing", heavy: true, run: idleReader},
			{name: "Through belongs to the snapshot that was read", run: throughOfSnapshot},
			{name: "times never run backwards along the log", run: timesInOrder},
			{name: "nothing appears any more at or below a position once seen", heavy: true, run: settledPrefix},
		},
	}
}

func gaplessPositions(t *trial) {
	next := eventstore.Position(1)
	for n := range 12 {
		stream := eventstore.StreamOf("gapless", fmt.Sprint(n%4))
		events := eventsOf(1+n%3, "counted")
		r := t.add(t.store, stream, events...)
		next += eventstore.Position(len(events))
		if r.Position != next-1 || r.First != next-eventstore.Position(len(events)) {
			t.brokenNow("a commit of %d events was given the positions %d to %d; it should be up to %d", len(events), r.First, r.Position, next-1)
		}
		t.refused(t.store, appends(to("gapless-new", event("counted")), expecting(eventstore.NoStream, stream, event("counted"))), eventstore.ErrConflict)
		t.refused(t.store, unless(appends(to(stream, event("counted"))), eventstore.OfType("counted"), 0), eventstore.ErrConflict)
		t.refused(t.store, appends(to(stream, event("counted"), events[0])), eventstore.ErrIDReused)
	}
	for i, e := range t.all(t.another()) {
		if e.Position != eventstore.Position(i+1) {
			t.brokenNow("the event in place %d of the log has position %d", i+1, e.Position)
		}
	}
}

func timesInOrder(t *trial) {
	stores := t.pair()
	together(racers, func(i int) {
		for range 5 {
			c := appends(to(eventstore.StreamOf("timed", fmt.Sprint(i)), event("timed")))
			if _, err := stores[i%2].Commit(t.ctx, c); err != nil {
				t.Errorf("could not try whether %s: %v", t.says, err)
			}
		}
	})
	var before eventstore.Event
	for _, e := range t.all(t.store) {
		if e.Time.Before(before.Time) {
			t.brokenNow("the event at position %d has the time %s, and the one before it %s", e.Position, e.Time, before.Time)
		}
		before = e
	}
}

func orderWithinCommit(t *trial) {
	for range 3 {
		c := appends(
			to("within-b", event("first"), event("second")),
			to("within-a", event("third")),
			to("within-b", event("fourth")),
		)
		r := t.commit(t.store, c)
		got, _ := t.read(t.store, eventstore.All(), eventstore.Range{After: r.Position - 4})
		types := make([]string, len(got))
		for i, e := range got {
			types[i] = e.Type
		}
		if !slices.Equal(types, []string{"first", "second", "third", "fourth"}) {
			t.brokenNow("first, second, third and fourth came back as %s", showAll(got))
		}
	}
}

func realTimeOrder(t *trial) {
	type span struct {
		began, ended int64
		position     eventstore.Position
	}
	stores := t.pair()
	var clock atomic.Int64
	var mu sync.Mutex
	var spans []span
	together(6, func(w int) {
		for range 15 {
			began := clock.Add(1)
			r, err := stores[w%2].Commit(t.ctx, appends(to(eventstore.StreamOf("timed", fmt.Sprint(w)), event("timed"))))
			if err != nil {
				t.Errorf("could not try whether %s: %v", t.says, err)
				return
			}
			mu.Lock()
			spans = append(spans, span{began, clock.Add(1), r.Position})
			mu.Unlock()
		}
	})
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.position, b.position) })
	for i, s := range spans {
		for _, before := range spans[:i] {
			if s.ended < before.began {
				t.brokenNow("a commit that began after position %d was acknowledged was given position %d", before.position, s.position)
			}
		}
	}
}

func tailingReader(t *trial) {
	stores := t.pair()
	done := t.traffic(stores, 6, 20)
	got := make([][]eventstore.Event, 4)
	together(len(got), func(i int) { got[i] = t.follow(stores[i%2], eventstore.All(), []int{0, 0, 1, 7}[i], done) })
	for i := range got {
		t.missed(eventstore.All(), got[i])
	}
}

func idleReader(t *trial) {
	stores := t.pair()
	done := t.traffic(stores, 6, 20)
	queries := []eventstore.Query{
		eventstore.OfType(rare), eventstore.WithTags("rare"), eventstore.InStream("taken-1"), eventstore.OfType("never happened"),
	}
	got := make([][]eventstore.Event, len(queries))
	together(len(queries), func(i int) { got[i] = t.follow(stores[i%2], queries[i], 0, done) })
	for i := range queries {
		t.missed(queries[i], got[i])
	}
}

// throughOfSnapshot commits while a read is going on: its Through must not reach what it does not yield.
func throughOfSnapshot(t *trial) {
	other := t.another()
	for _, backward := range []bool{false, true} {
		t.add(t.store, "seen-1", eventsOf(3, "seen")...)
		var through, last eventstore.Position
		committed := false
		for e, err := range t.store.Read(t.ctx, eventstore.OfType("seen"), eventstore.Range{Backward: backward, Through: &through}) {
			t.need(err, "read")
			last = max(last, e.Position)
			if !committed {
				committed = true
				t.add(other, "seen-2", event("noted"), event("seen"))
			}
		}
		late, _ := t.read(other, eventstore.OfType("seen"), eventstore.Range{After: last, UpTo: max(through, 1)})
		if through > last && len(late) > 0 {
			t.broken("a read yielded events up to %d and reported Through %d, but did not yield %s, "+
				"which was committed meanwhile: whoever goes on from Through skips it", last, through, showAll(late))
		}
	}
}

func settledPrefix(t *trial) {
	stores := t.pair()
	done := t.traffic(stores, 4, 20)
	together(2, func(i int) {
		var before []eventstore.Event
		for over := false; !over; {
			select {
			case <-done:
				over = true
			default:
			}
			var now []eventstore.Event
			for e, err := range stores[i].Read(t.ctx, eventstore.All(), eventstore.Range{}) {
				if err != nil {
					t.Errorf("could not try whether %s: %v", t.says, err)
					return
				}
				now = append(now, e)
			}
			for n, e := range before {
				if n >= len(now) || now[n].ID != e.ID || now[n].Position != e.Position {
					t.broken("%s was in place %d of the log; read again, the log begins with %s", show(e), n+1, showAll(now[:min(n+1, len(now))]))
					return
				}
			}
			before = now
		}
	})
}
