package spine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"pgregory.net/rapid"
)

// drawOutputs makes random outputs about few streams, tags and timers, so that they often get in each other's way.
func drawOutputs(t *rapid.T) (outputs []Output) {
	stream := rapid.SampledFrom([]eventstore.Stream{"a-1", "a-2", "b-1"})
	tag := rapid.SampledFrom([]string{"x", "y"})
	query := rapid.SampledFrom([]eventstore.Query{
		eventstore.WithTags("x"), eventstore.WithTags("y"), eventstore.WithTags("x", "y"), eventstore.OfType("t1"),
		eventstore.InStream("a-2"), eventstore.InCategory("a"), eventstore.OfType("t2").Or(eventstore.WithTags("y")),
	})
	expect := rapid.SampledFrom([]eventstore.Expected{
		eventstore.Any, eventstore.Any, eventstore.NoStream, eventstore.StreamExists,
		eventstore.Exact(0), eventstore.Exact(1), eventstore.Exact(2), eventstore.Exact(3), eventstore.Exact(4),
	})
	n := 0
	event := func() eventstore.Event {
		n++
		e := eventstore.Event{ID: uuid.New(), Type: rapid.SampledFrom([]string{"t1", "t2"}).Draw(t, "type"), Data: fmt.Appendf(nil, "%d", n)}
		e.Tags = rapid.SliceOfNDistinct(tag, 0, 2, rapid.ID).Draw(t, "tags")
		return e
	}
	var timers []uuid.UUID
	for range rapid.IntRange(1, 8).Draw(t, "outputs") {
		var out Output
		c := &out.Commit
		for range rapid.IntRange(0, 3).Draw(t, "appends") {
			a := eventstore.Append{Stream: stream.Draw(t, "stream"), Expect: expect.Draw(t, "expected")}
			for range rapid.IntRange(1, 2).Draw(t, "events") {
				a.Events = append(a.Events, event())
			}
			c.Appends = append(c.Appends, a)
		}
		if rapid.IntRange(0, 3).Draw(t, "condition") == 0 {
			after := eventstore.Position(rapid.IntRange(0, 4).Draw(t, "after"))
			c.Unless = []eventstore.Condition{{Query: query.Draw(t, "query"), After: after}}
		}
		if rapid.IntRange(0, 2).Draw(t, "timer") == 0 {
			timers = append(timers, uuid.New())
			c.Schedules = []eventstore.Schedule{{
				ID: timers[len(timers)-1], Due: time.Now().Add(time.Hour), Append: eventstore.Append{Stream: "late-1", Events: []eventstore.Event{event()}},
			}}
		}
		if len(timers) > 0 && rapid.IntRange(0, 2).Draw(t, "cancel") == 0 {
			if id := rapid.SampledFrom(timers).Draw(t, "cancelled"); len(c.Schedules) == 0 || c.Schedules[0].ID != id {
				c.Cancels = []uuid.UUID{id}
			}
		}
		if !out.empty() {
			outputs = append(outputs, out)
		}
	}
	return outputs
}

// logOf is what a log holds.
func logOf(ctx context.Context, t *rapid.T, st *eventstore.Store, b *memory.Backend) (lines []string) {
	for e, err := range st.Read(ctx, eventstore.All(), eventstore.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%d: %s@%d %s %v %s", e.Position, e.Stream, e.Version, e.Type, e.Tags, e.Data))
	}
	for s, err := range b.Scheduled(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, "scheduled "+string(s.Append.Events[0].Data))
	}
	return lines
}

// each commits every output by itself; one that is refused counts nothing.
func each(ctx context.Context, t *rapid.T, st *eventstore.Store, outputs []Output) {
	for i := range outputs {
		if _, err := st.Commit(ctx, outputs[i].Commit); err != nil && !errors.Is(err, eventstore.ErrConflict) {
			t.Fatal(err)
		}
	}
}

// TestJoinedOutputsAreAsGoodAsOneCommitForEach joins what can be joined, as a lane does, and compares the logs.
func TestJoinedOutputsAreAsGoodAsOneCommitForEach(t *testing.T) {
	t.Parallel()
	commits, joins := 0, 0
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		history, outputs := drawOutputs(t), drawOutputs(t)
		apart, together := memory.New(), memory.New()
		one, many := eventstore.New(apart, eventstore.Config{}), eventstore.New(together, eventstore.Config{})
		each(ctx, t, one, history)
		each(ctx, t, many, history)
		each(ctx, t, one, outputs)
		for rest := slices.Clone(outputs); len(rest) > 0; {
			var j joined
			n := 0
			for n < len(rest) && j.join(rest[n:n+1:n+1], n > 0) {
				n++
			}
			commits, joins = commits+1, joins+n
			if _, err := many.Commit(ctx, j.commit); errors.Is(err, eventstore.ErrConflict) {
				each(ctx, t, many, rest[:n])
			} else if err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		want, got := logOf(ctx, t, one, apart), logOf(ctx, t, many, together)
		if !slices.Equal(got, want) {
			t.Fatalf("joined, the log is\n%q\nwant\n%q", got, want)
		}
	})
	if joins < commits*5/4 {
		t.Errorf("%d outputs took %d commits: hardly any were joined", joins, commits)
	}
}
