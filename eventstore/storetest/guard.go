package storetest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/necrostack/necrostack/eventstore"
)

func guard() promise {
	p := promise{
		name: "Guard",
		says: "conditions are decided where commits are put into order: of any number of racers with the same expectation exactly one wins",
		checks: []check{
			{name: "of racers who expect the same version exactly one wins", heavy: true, run: func(t *trial) { raceStream(t, false) }},
			{name: "of racers who expect no stream exactly one wins", heavy: true, run: func(t *trial) { raceStream(t, true) }},
			{name: "of racers for two streams in either order exactly one wins", heavy: true, run: raceTwoStreams},
			{name: "of racers by type against racers by tag exactly one wins", heavy: true, run: raceTypeAgainstTag},
			{name: "no event of an unconditional writer slips behind a condition", heavy: true, run: guardAgainstUnconditional},
			{name: "a commit's own events never match its own condition", run: ownEvents},
			{name: "expectations are about the versions before the commit", run: expectationsBefore},
			{name: "every kind of expectation holds and refuses as it says", run: expectations},
		},
	}
	for _, shape := range raceShapes() {
		p.checks = append(p.checks, check{
			name:  "of racers with the same condition exactly one wins: by " + shape.name,
			heavy: true,
			run:   func(t *trial) { raceCondition(t, shape.query) },
		})
	}
	return p
}

type queryShape struct {
	name  string
	query eventstore.Query
}

// raceShapes are queries that all select an event of type "seat taken" in "seat-1" with the tags "seat:1"
// and "row:1".
func raceShapes() []queryShape {
	return []queryShape{
		{"type", eventstore.OfType("seat taken")},
		{"tag", eventstore.WithTags("seat:1")},
		{"two tags", eventstore.WithTags("seat:1", "row:1")},
		{"type and tag", eventstore.Match(eventstore.Item{Types: []string{"seat taken", "seat freed"}, Tags: []string{"seat:1"}})},
		{"stream", eventstore.InStream("seat-1")},
		{"category", eventstore.InCategory("seat")},
		{"either of two items", eventstore.OfType("never happened").Or(eventstore.WithTags("row:1"))},
		{"all", eventstore.All()},
	}
}

const racers = 8

// race lets racers read and then commit, round after round, over several connections. They wait for each
// other before they read and again before they commit, so that all decide on the same state. It reports
// rounds without exactly one winner, and losers who were not told of a conflict.
func (t *trial) race(rounds int, read func(i int, s *eventstore.Store), commit func(i int, s *eventstore.Store) (eventstore.Result, error)) {
	stores := append(t.pair(), t.pair()...)[1:]
	meet := meeting()
	var mu sync.Mutex
	won := make([][]eventstore.Position, rounds)
	together(racers, func(i int) {
		s := stores[i%len(stores)]
		for n := range rounds {
			meet()
			read(i, s)
			meet()
			r, err := commit(i, s)
			switch {
			case err == nil:
				mu.Lock()
				won[n] = append(won[n], r.Position)
				mu.Unlock()
			case !errors.Is(err, eventstore.ErrConflict):
				t.broken("in round %d a racer failed with %q; a loser must be told of a conflict", n+1, err)
			}
		}
	})
	for n := range won {
		if len(won[n]) != 1 {
			t.brokenNow("in round %d of %d racers %d won, at the positions %v", n+1, racers, len(won[n]), won[n])
		}
	}
}

func raceStream(t *trial, fresh bool) {
	var versions [racers]eventstore.Version
	var rounds [racers]int
	t.race(6, func(i int, s *eventstore.Store) {
		for e, err := range s.Read(t.ctx, eventstore.InStream("raced-1"), eventstore.Range{Backward: true, Limit: 1}) {
			if err != nil {
				t.Errorf("could not try whether %s: %v", t.says, err)
			}
			versions[i] = e.Version
		}
	}, func(i int, s *eventstore.Store) (eventstore.Result, error) {
		if rounds[i]++; fresh {
			return s.Commit(t.ctx, appends(expecting(eventstore.NoStream, eventstore.StreamOf("raced", fmt.Sprint(rounds[i])), event("raced"))))
		}
		return s.Commit(t.ctx, appends(expecting(eventstore.Exact(versions[i]), "raced-1", event("raced"))))
	})
	t.checkVersions(t.store)
}

func raceTwoStreams(t *trial) {
	var at [racers]eventstore.Version
	t.race(6, func(int, *eventstore.Store) {}, func(i int, s *eventstore.Store) (eventstore.Result, error) {
		a := expecting(eventstore.Exact(at[i]), "raced-a", event("raced"))
		b := expecting(eventstore.Exact(at[i]), "raced-b", event("raced"))
		if at[i]++; i%2 == 0 {
			return s.Commit(t.ctx, appends(a, b))
		}
		return s.Commit(t.ctx, appends(b, a))
	})
}

func seat() eventstore.Commit {
	return appends(to("seat-1", event("seat taken", "seat:1", "row:1")))
}

// through is what a read reports, for goroutines.
func (t *trial) through(s *eventstore.Store, q eventstore.Query) (through eventstore.Position) {
	for _, err := range s.Read(t.ctx, q, eventstore.Range{Through: &through}) {
		if err != nil {
			t.Errorf("could not try whether %s: %v", t.says, err)
		}
	}
	return through
}

func raceCondition(t *trial, q eventstore.Query) {
	var after [racers]eventstore.Position
	t.race(5, func(i int, s *eventstore.Store) {
		after[i] = t.through(s, q)
	}, func(i int, s *eventstore.Store) (eventstore.Result, error) {
		return s.Commit(t.ctx, unless(seat(), q, after[i]))
	})
}

func raceTypeAgainstTag(t *trial) {
	shapes := raceShapes()
	var after [racers]eventstore.Position
	t.race(6, func(i int, s *eventstore.Store) {
		after[i] = t.through(s, shapes[i%2].query)
	}, func(i int, s *eventstore.Store) (eventstore.Result, error) {
		return s.Commit(t.ctx, unless(seat(), shapes[i%2].query, after[i]))
	})
}

func guardAgainstUnconditional(t *trial) {
	stores := t.pair()
	q := eventstore.WithTags("seat:1")
	type win struct{ after, position eventstore.Position }
	var mu sync.Mutex
	var wins []win
	together(racers, func(i int) {
		for range 20 {
			if i%4 == 0 {
				if _, err := stores[i/4].Commit(t.ctx, seat()); err != nil {
					t.broken("a writer without any condition failed: %v", err)
				}
				continue
			}
			after := t.through(stores[i%2], q)
			switch r, err := stores[i%2].Commit(t.ctx, unless(seat(), q, after)); {
			case err == nil:
				mu.Lock()
				wins = append(wins, win{after, r.Position})
				mu.Unlock()
			case !errors.Is(err, eventstore.ErrConflict):
				t.broken("a commit failed with %q; it must succeed, or be told of a conflict", err)
			}
		}
	})
	for _, w := range wins {
		if got, _ := t.read(t.store, q, eventstore.Range{After: w.after, UpTo: w.position - 1}); w.position > 1 && len(got) > 0 {
			t.brokenNow("a commit on condition that nothing matches after %d was accepted at %d, behind %s", w.after, w.position, showAll(got))
		}
	}
}

func ownEvents(t *trial) {
	for _, shape := range raceShapes() {
		c := unless(seat(), shape.query, t.through(t.store, eventstore.Query{}))
		if _, err := t.store.Commit(t.ctx, c); err != nil {
			t.broken("a commit conditional by %s was refused though only its own event matches: %v", shape.name, err)
		}
	}
	c := unless(appends(to("pair-1", event("paired")), to("pair-2", event("paired"))), eventstore.OfType("paired"), 0)
	if _, err := t.store.Commit(t.ctx, c); err != nil {
		t.broken("a commit to two streams was refused though only its own events match: %v", err)
	}
}

func expectationsBefore(t *trial) {
	c := appends(
		expecting(eventstore.NoStream, "before-1", event("first")),
		expecting(eventstore.NoStream, "before-1", event("second")),
		expecting(eventstore.Any, "before-1", event("third")),
	)
	if r, err := t.store.Commit(t.ctx, c); err != nil || r.Version() != 3 {
		t.broken("three appends to a new stream, each expecting what was before the commit, came to %+v, %v", r, err)
	}
	t.refused(t.store, appends(
		expecting(eventstore.Exact(3), "before-1", event("fourth")),
		expecting(eventstore.Exact(4), "before-1", event("fifth")),
	), eventstore.ErrConflict)
}

func expectations(t *trial) {
	t.add(t.store, "expected-3", eventsOf(3, "counted")...)
	for _, c := range []struct {
		expect  eventstore.Expected
		stream  eventstore.Stream
		version eventstore.Version
		holds   bool
	}{
		{eventstore.NoStream, "expected-3", 3, false},
		{eventstore.Exact(0), "expected-3", 3, false},
		{eventstore.Exact(2), "expected-3", 3, false},
		{eventstore.Exact(4), "expected-3", 3, false},
		{eventstore.Exact(1<<53 - 1), "expected-3", 3, false},
		{eventstore.StreamExists, "expected-0", 0, false},
		{eventstore.Exact(1), "expected-0", 0, false},
		{eventstore.Any, "expected-3", 3, true},
		{eventstore.Exact(4), "expected-3", 4, true},
		{eventstore.StreamExists, "expected-3", 5, true},
		{eventstore.Exact(0), "expected-a", 0, true},
		{eventstore.NoStream, "expected-b", 0, true},
		{eventstore.Any, "expected-c", 0, true},
	} {
		commit := appends(expecting(c.expect, c.stream, event("counted")))
		if c.holds {
			if r, err := t.store.Commit(t.ctx, commit); err != nil || r.Version() != c.version+1 {
				t.broken("%s at version %d, expecting %s: result %+v, error %v", c.stream, c.version, c.expect, r, err)
			}
			continue
		}
		err := t.refusal(t.store, commit, eventstore.ErrConflict)
		said, ok := errors.AsType[*eventstore.ConflictError](err)
		if !ok || said.Stream != c.stream || said.Expected != c.expect || said.Actual != c.version {
			t.broken("the error must say that %s expected %s and stands at %d; it is %#v", c.stream, c.expect, c.version, err)
		}
	}
}
