package viewtest

import (
	"context"
	"iter"
	"sync/atomic"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
	"github.com/necrostack/necrostack/spine/spinetest"
)

// counting counts the events that are read.
type counting struct {
	*spinetest.Tap

	events atomic.Int64
}

func (c *counting) Read(ctx context.Context, q eventstore.Query, r eventstore.Range) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		for e, err := range c.Tap.Read(ctx, q, r) {
			c.events.Add(1)
			if !yield(e, err) {
				return
			}
		}
	}
}

// countedStore opens a store, and returns what counts the events that a call reads. It is to read but once.
func countedStore(t *spinetest.Trial) (st *eventstore.Store, by func(call func()) (events int64)) {
	c := &counting{Tap: t.Tap()}
	return t.Open(c), func(call func()) int64 {
		before, reads := c.events.Load(), c.Reads.Load()
		call()
		if n := c.Reads.Load() - reads; n > 1 {
			t.Errorf("%d reads for one question", n)
		}
		return c.events.Load() - before
	}
}

// ways are the events of a stream, folded as such and by a query.
func ways(t *spinetest.Trial, st *eventstore.Store, live projections.Live[tally]) map[string]func(at ...projections.At) projections.State[tally] {
	must := func(s projections.State[tally], err error) projections.State[tally] {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
		return s
	}
	return map[string]func(at ...projections.At) projections.State[tally]{
		"stream": func(at ...projections.At) projections.State[tally] {
			return must(live.Stream(t.Ctx, st, "transfer-1", at...))
		},
		"query": func(at ...projections.At) projections.State[tally] {
			return must(live.Query(t.Ctx, st, eventstore.InCategory("transfer"), at...))
		},
	}
}

func snapshotSaves(t *spinetest.Trial) {
	st, by := countedStore(t)
	moves(t, "transfer-1", 100, 1)
	for way, ask := range ways(t, st, tallies(50)) {
		if n := by(func() { ask(projections.AtPosition(100)) }); n != 100 {
			t.Errorf("%s: without a snapshot %d events were read", way, n)
		}
		if n := by(func() { ask() }); n != 100 { // what is not of now left none
			t.Errorf("%s: to take the first snapshot %d events were read", way, n)
		}
		if n := by(func() { ask() }); n != 1 {
			t.Errorf("%s: from the snapshot %d events were read, want the last of it", way, n)
		}
	}
	moves(t, "transfer-1", 49, 1000)
	for way, ask := range ways(t, st, tallies(50)) {
		for range 2 { // too few for a new one
			if n := by(func() { ask() }); n != 50 {
				t.Errorf("%s: 49 events behind the snapshot, %d were read", way, n)
			}
		}
	}
	moves(t, "transfer-1", 1, 2000)
	for way, ask := range ways(t, st, tallies(50)) {
		ask()
		var got projections.State[tally]
		if n := by(func() { got = ask(projections.AtPosition(150)) }); n != 1 || got.Value.Events != 150 {
			t.Errorf("%s: from the second snapshot %d events were read, of %d", way, n, got.Value.Events)
		}
	}
}

func laterSnapshot(t *spinetest.Trial) {
	st, by := countedStore(t)
	moves(t, "transfer-1", 100, 1)
	events := t.Events(eventstore.All())
	for way, ask := range ways(t, st, tallies(10)) {
		ask() // takes one at 100
		want, _ := plainly(t, events[:60], eventstore.All())
		points := []projections.At{projections.AtPosition(60), projections.AtVersion(60)}
		if way == "query" {
			points = points[:1]
		}
		for _, at := range points {
			var got projections.State[tally]
			by(func() { got = ask(at) })
			if diff := cmp.Diff(want, got.Value); diff != "" {
				t.Errorf("%s at %+v (-plainly +live):\n%s", way, at, diff)
			}
		}
		if n := by(func() { ask() }); n != 1 {
			t.Errorf("%s: %d events were read for what the snapshot holds", way, n)
		}
		if n := by(func() { ask(projections.AtPosition(100)) }); n != 1 {
			t.Errorf("%s: %d events were read for the very point of the snapshot", way, n)
		}
	}
}

// snapshotOfAnotherLog takes snapshots in one log, and looks what a log makes of them that has only its first events.
func snapshotOfAnotherLog(t, first *spinetest.Trial) {
	ids := make([]uuid.UUID, 20)
	for i := range ids {
		ids[i] = uuid.Must(uuid.NewV7())
	}
	moves(first, "transfer-1", 20, 1, ids...)
	moves(first, "transfer-1", 30, 100)
	live := tallies(10)
	for _, ask := range ways(first, first.Store, live) {
		ask()
	}
	all := first.Events(eventstore.All())
	for _, stands := range []int{20, 40, 60} { // shorter than the snapshot, and longer, with other events at its place
		if stands == 20 {
			moves(t, "transfer-1", 20, 1, ids...)
		} else {
			moves(t, "transfer-1", 20, 7000)
		}
		saved := &lending{counting: counting{Tap: t.Tap()}, from: first.Store.Backend().(eventstore.Snapshotter)}
		for way, ask := range ways(t, t.Open(saved), live) {
			want, _ := plainly(t, t.Events(eventstore.All()), eventstore.All())
			got := ask()
			if diff := cmp.Diff(want, got.Value); diff != "" || got.Position != eventstore.Position(stands) {
				t.Errorf("%s of %d events, at position %d (-plainly +live):\n%s", way, stands, got.Position, diff)
			}
		}
		if saved.lent.Load() != 2 {
			t.Errorf("%d snapshots of the other log were looked at", saved.lent.Load())
		}
	}
	if s, _ := plainly(t, all, eventstore.All()); s.Events != 50 {
		t.Errorf("the other log has %d events", s.Events)
	}
}

// lending is a log with the snapshots of another one.
type lending struct {
	counting

	from eventstore.Snapshotter
	lent atomic.Int64
}

func (l *lending) Snapshot(ctx context.Context, fold string, stream eventstore.Stream) (eventstore.Snapshot, error) {
	s, err := l.from.Snapshot(ctx, fold, stream)
	if s.Version > 0 {
		l.lent.Add(1)
	}
	return s, err
}
