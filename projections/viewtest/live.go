package viewtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
	"github.com/necrostack/necrostack/spine/spinetest"
)

// tally is a state that shows which events it was made of, in which order.
type tally struct {
	Events int
	Hash   int64
	Last   uuid.UUID
	Owners map[string]int
}

func tallies(every int) projections.Live[tally] {
	return projections.Live[tally]{
		Name: "tallies", Snapshot: projections.Snapshot{Every: every},
		Fold: eventstore.Fold[tally]{
			eventstore.On(func(s *tally, e eventstore.Recorded[moved]) {
				s.Events, s.Hash, s.Last = s.Events+1, (3*s.Hash+e.Payload.Cents)%1_000_003, e.ID
			}),
			eventstore.On(func(s *tally, e opened) {
				if s.Owners == nil {
					s.Owners = map[string]int{}
				}
				s.Owners[e.Owner]++
				s.Hash *= 7
			}),
		},
	}
}

// plainly folds those of the events that a query selects, and returns how many these are.
func plainly(t *spinetest.Trial, events []eventstore.Event, q eventstore.Query) (s tally, n int) {
	t.Helper()
	f := tallies(0).Fold
	for i := range events {
		if !q.Matches(&events[i]) {
			continue
		}
		n++
		if err := f.Apply(&s, events[i]); err != nil && !errors.Is(err, eventstore.ErrUnknownType) {
			t.Fatal(err)
		}
	}
	return s, n
}

// anyPoint draws a point in the log, and returns the events up to there.
func anyPoint(random *rand.Rand, events []eventstore.Event) (at projections.At, before []eventstore.Event) {
	n := random.IntN(len(events) + 1)
	switch random.IntN(4) {
	case 0:
		return projections.At{}, events
	case 1:
		return projections.AtPosition(eventstore.Position(n)), events[:n]
	}
	when := events[max(0, n-1)].Time.Add(time.Duration(random.IntN(4)-1) * 500 * time.Nanosecond)
	for len(before) < len(events) && !events[len(before)].Time.After(when) {
		before = events[:len(before)+1]
	}
	return projections.AtTime(when), before
}

func liveIsAPlainFold(t *spinetest.Trial) {
	random := rand.New(rand.NewPCG(7, 7))
	var events []eventstore.Event
	queries := []eventstore.Query{
		eventstore.OfType("moved", "opened"), eventstore.InCategory("account"),
		eventstore.InStream("transfer-1").Or(eventstore.InStream("account-a1")), eventstore.OfType("closed"), eventstore.All(),
	}
	for round := range 300 {
		if round%10 == 0 {
			script(t, random, 1+random.IntN(12))
			events = t.Events(eventstore.All())
		}
		live := tallies([]int{0, 1, 3, 20}[random.IntN(4)])
		at, before := anyPoint(random, events)
		stream := eventstore.StreamOf("transfer", fmt.Sprint(random.IntN(5)))
		if random.IntN(3) == 0 {
			stream = eventstore.StreamOf("account", fmt.Sprint("a", random.IntN(12)))
		}
		q := queries[random.IntN(len(queries))]
		ofStream := random.IntN(2) == 0
		if ofStream {
			q = eventstore.InStream(stream)
		}
		state, n := plainly(t, before, q)
		want := projections.State[tally]{Value: state, Position: eventstore.Position(len(before))}
		var got projections.State[tally]
		var err error
		switch {
		case ofStream && random.IntN(2) == 0: // by the version that the stream had
			at, want.Position, want.Version = projections.AtVersion(eventstore.Version(n)), 0, eventstore.Version(n)
			for i := range before {
				if before[i].Stream == stream {
					want.Position = before[i].Position
				}
			}
			got, err = live.Stream(t.Ctx, t.Store, stream, at)
		case ofStream:
			want.Version = eventstore.Version(n)
			got, err = live.Stream(t.Ctx, t.Store, stream, at)
		default:
			got, err = live.Query(t.Ctx, t.Store, q, at)
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Fatalf("round %d: %v at %+v, of %d events, with snapshots every %d: %v\n(-plainly +live)\n%s",
				round, q.Items(), at, len(before), live.Snapshot.Every, err, diff)
		}
	}
}

// moves appends so many events to a stream, each with an id if there are any.
func moves(t *spinetest.Trial, stream eventstore.Stream, n int, cents int64, ids ...uuid.UUID) {
	t.Helper()
	payloads := make([]eventstore.Payload, n)
	for i := range payloads {
		d := eventstore.Draft{Payload: moved{"a", "b", cents + int64(i)}}
		if i < len(ids) {
			d.ID = ids[i]
		}
		payloads[i] = d
	}
	if _, err := t.Store.Append(t.Ctx, stream, eventstore.Any, payloads...); err != nil {
		t.Fatal(err)
	}
}

func rowsOfThePast(t *spinetest.Trial) {
	random, view := rand.New(rand.NewPCG(8, 8)), balances()
	found, missing := 0, 0
	for range 4 {
		script(t, random, 90)
		events := t.Events(eventstore.All())
		for range 25 {
			at, before := anyPoint(random, events)
			rows := oracle(t, before)
			key := fmt.Sprint("a", random.IntN(12))
			got, err := view.At(t.Ctx, t.Store, key, at)
			want, there := rows[key]
			if !there {
				missing++
				if !errors.Is(err, projections.ErrNoRow) {
					t.Errorf("row %s at %+v: %+v, %v, want none", key, at, got, err)
				}
				continue
			}
			found++
			if diff := cmp.Diff(want, got, noBytes); diff != "" || err != nil {
				t.Errorf("row %s at %+v: %v\n(-folded by hand +at)\n%s", key, at, err, diff)
			}
		}
	}
	if found == 0 || missing == 0 {
		t.Errorf("%d rows were there, and %d were not", found, missing)
	}
	moves(t, "transfer-9", 300, 1) // more than are folded at once
	now := projections.AtPosition(t.Head())
	if _, err := t.Store.Append(t.Ctx, "account-a", eventstore.Any, closed{}); err != nil {
		t.Fatal(err)
	}
	if got, err := view.At(t.Ctx, t.Store, "a", now); err != nil || got.Moves != 300 {
		t.Errorf("before it was closed: %+v, %v", got, err)
	}
	if got, err := view.At(t.Ctx, t.Store, "a", projections.At{}); !errors.Is(err, projections.ErrNoRow) {
		t.Errorf("after it was closed: %+v, %v", got, err)
	}
}

func noSuchPoint(t *spinetest.Trial) {
	moves(t, "transfer-1", 3, 1)
	moves(t, "transfer-2", 2, 1)
	live, view := tallies(2), balances()
	for range 2 { // without a snapshot, and with one
		for says, err := range map[string]error{
			"version 4 is beyond the end of transfer-1, which stands at version 3": second(live.Stream(t.Ctx, t.Store, "transfer-1", projections.AtVersion(4))),
			"version 1 is beyond the end of transfer-3, which stands at version 0": second(live.Stream(t.Ctx, t.Store, "transfer-3", projections.AtVersion(1))),
			"position 6 is beyond the head, which is 5":                            second(live.Query(t.Ctx, t.Store, eventstore.All(), projections.AtPosition(6))),
			"position 7 is beyond the head, which is 5":                            second(view.At(t.Ctx, t.Store, "a", projections.AtPosition(7))),
		} {
			if !errors.Is(err, eventstore.ErrInvalid) || !strings.Contains(err.Error(), says) {
				t.Errorf("error is %v, want: %s", err, says)
			}
		}
		for _, stream := range []eventstore.Stream{"transfer-1", "transfer-3"} {
			if s, err := live.Stream(t.Ctx, t.Store, stream, projections.AtVersion(0)); err != nil || s.Value.Events != 0 || s.Version != 0 {
				t.Errorf("before %s: %+v, %v", stream, s, err)
			}
		}
		if _, err := live.Stream(t.Ctx, t.Store, "transfer-1"); err != nil {
			t.Error(err)
		}
		if _, err := live.Query(t.Ctx, t.Store, eventstore.All()); err != nil {
			t.Error(err)
		}
	}
	if _, err := view.At(t.Ctx, t.Store, "a", projections.AtPosition(0)); !errors.Is(err, projections.ErrNoRow) {
		t.Errorf("a row before the first event: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }
