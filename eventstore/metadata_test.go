package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// committed is the event that a payload became, committed with a context.
func committed(ctx context.Context, t *testing.T, s *eventstore.Store, e eventstore.Event) eventstore.Event {
	t.Helper()
	r, err := s.Commit(ctx, to("told-1", eventstore.Any, e))
	if err != nil {
		t.Fatal(err)
	}
	for e, err := range s.Read(ctx, eventstore.All(), eventstore.Range{After: r.Position - 1}) {
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	t.Fatal("it is not there")
	return eventstore.Event{}
}

func TestFirstEventOfAConversationCorrelatesWithItself(t *testing.T) {
	t.Parallel()
	e := committed(t.Context(), t, opened(t, eventstore.Config{}), raw("begun", "{}"))
	if m := e.Metadata; m.Correlation != e.ID || m.Causation != uuid.Nil || m.Depth != 0 || m.TraceParent != "" || m.Actor != "" || m.User != nil {
		t.Errorf("its metadata are %+v", m)
	}
}

func TestWhatFollowsFromAnEventInheritsFromIt(t *testing.T) {
	t.Parallel()
	s := opened(t, eventstore.Config{})
	cause := committed(eventstore.WithMetadata(t.Context(), eventstore.Metadata{
		TraceParent: "00-1", TraceState: "x=1", Actor: "ann", User: map[string]string{"k": "v"},
	}), t, s, raw("begun", "{}"))
	ctx := eventstore.WithCause(t.Context(), &cause)
	for depth := 1; depth <= 3; depth++ {
		e := committed(ctx, t, s, raw("followed", "{}"))
		want := eventstore.Metadata{
			Correlation: cause.Metadata.Correlation, Causation: cause.ID, Depth: depth, TraceParent: "00-1", TraceState: "x=1", Actor: "ann",
		}
		if got := fmt.Sprint(e.Metadata); got != fmt.Sprint(want) {
			t.Errorf("at depth %d its metadata are %s, not %+v", depth, got, want)
		}
		if got := fmt.Sprint(eventstore.MetadataFrom(ctx)); got != fmt.Sprint(want) || fmt.Sprint(cause.Child()) != got {
			t.Errorf("at depth %d the context says %s", depth, got)
		}
		cause, ctx = e, eventstore.WithCause(context.WithValue(ctx, contextKey{}, depth), &e)
		if ctx.Value(contextKey{}) != depth {
			t.Error("the context has forgotten its values")
		}
	}
}

type contextKey struct{}

func TestEventsKeepWhatTheySayThemselves(t *testing.T) {
	t.Parallel()
	s := opened(t, eventstore.Config{})
	given := eventstore.Metadata{
		Correlation: uuid.New(), Causation: uuid.New(), Depth: 4, TraceParent: "00-1", TraceState: "x=1", Actor: "ann", Schema: 9,
		User: map[string]string{"k": "v"},
	}
	ctx := eventstore.WithMetadata(t.Context(), given)
	if m := eventstore.MetadataFrom(ctx); m.Schema != 0 || m.Actor != "ann" {
		t.Errorf("the context says %+v; a schema is an event's own", m)
	}
	for name, x := range map[string]struct{ own, want eventstore.Metadata }{
		"nothing": {eventstore.Metadata{}, eventstore.Metadata{
			Correlation: given.Correlation, Causation: given.Causation, Depth: 4, TraceParent: "00-1", TraceState: "x=1", Actor: "ann",
			User: given.User,
		}},
		"a cause": {eventstore.Metadata{Causation: uuid.UUID{1}, Depth: 2}, eventstore.Metadata{
			Correlation: given.Correlation, Causation: uuid.UUID{1}, Depth: 2, TraceParent: "00-1", TraceState: "x=1", Actor: "ann", User: given.User,
		}},
		"a depth": {eventstore.Metadata{Depth: 7}, eventstore.Metadata{
			Correlation: given.Correlation, Causation: given.Causation, Depth: 7, TraceParent: "00-1", TraceState: "x=1", Actor: "ann", User: given.User,
		}},
		"everything": {eventstore.Metadata{
			Correlation: uuid.UUID{2}, Causation: uuid.UUID{3}, Depth: 1, TraceParent: "00-2", Actor: "bob", Schema: 2, User: map[string]string{},
		}, eventstore.Metadata{Correlation: uuid.UUID{2}, Causation: uuid.UUID{3}, Depth: 1, TraceParent: "00-2", Actor: "bob", Schema: 2}},
	} {
		e := raw("told", "{}")
		e.Metadata = x.own
		got := committed(ctx, t, s, e).Metadata
		if !maps.Equal(got.User, x.want.User) {
			t.Errorf("%s: the user's metadata are %v, not %v", name, got.User, x.want.User)
		}
		got.User, x.want.User = nil, nil
		if fmt.Sprint(got) != fmt.Sprint(x.want) {
			t.Errorf("%s: the metadata are %+v, not %+v", name, got, x.want)
		}
	}
	given.User["k"] = "spoilt"
	for _, e := range all(t, s, eventstore.All()) {
		if e.Metadata.User["k"] == "spoilt" {
			t.Error("changing what the context was given changed what is stored")
		}
	}
}

func TestScheduledEventsInheritWhenTheyAreMade(t *testing.T) {
	t.Parallel()
	s := opened(t, eventstore.Config{})
	cause := committed(t.Context(), t, s, raw("begun", "{}"))
	c := eventstore.Commit{Schedules: []eventstore.Schedule{{
		ID: uuid.New(), Due: epoch, Append: eventstore.Append{Stream: "later-1", Events: []eventstore.Event{raw("due", "{}")}},
	}}}
	if _, err := s.Commit(eventstore.WithCause(t.Context(), &cause), c); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Backend().(eventstore.Scheduler).Fire(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if m := all(t, s, eventstore.InStream("later-1"))[0].Metadata; m.Causation != cause.ID || m.Correlation != cause.ID || m.Depth != 1 {
		t.Errorf("its metadata are %+v", m)
	}
}

func TestRetryableIsAskedOfTheErrorItself(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errors.New("something"), false},
		{eventstore.ErrOutcomeUnknown, true},
		{&eventstore.OutcomeUnknownError{Err: context.Canceled}, true},
		{context.DeadlineExceeded, true},
		{context.Canceled, false},
		{eventstore.ErrConflict, false},
		{&eventstore.ConflictError{}, false},
		{&eventstore.ConditionError{}, false},
		{&eventstore.FencedError{}, false},
		{fmt.Errorf("x: %w", eventstore.ErrInvalid), false},
		{fmt.Errorf("x: %w", retryable(true)), true},
		{fmt.Errorf("x: %w", retryable(false)), false},
		{errors.Join(retryable(false), context.DeadlineExceeded), false},
		{&eventstore.OutcomeUnknownError{Err: retryable(true)}, true},
	} {
		if got := eventstore.IsRetryable(x.err); got != x.want {
			t.Errorf("%v: %t, not %t", x.err, got, x.want)
		}
	}
}

type retryable bool

func (r retryable) Error() string   { return fmt.Sprint("retryable: ", bool(r)) }
func (r retryable) Retryable() bool { return bool(r) }

func TestErrorsSayWhatTheyAreAbout(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		err    error
		target error
		says   string
	}{
		{&eventstore.ConflictError{Stream: "a-1", Expected: eventstore.Exact(3), Actual: 5}, eventstore.ErrConflict, "append to a-1: expected version 3, stands at version 5"},
		{&eventstore.ConditionError{Index: 1, After: 4, Position: 7}, eventstore.ErrConflict, "condition 2: the event at position 7 matches, after position 4"},
		{&eventstore.ConditionError{Index: 0, After: 4}, eventstore.ErrConflict, "condition 1: an event matches after position 4"},
		{&eventstore.FencedError{Consumer: "c", Partition: 2, Reason: "why"}, eventstore.ErrFenced, "consumer c partition 2: fenced: why"},
		{&eventstore.InvalidError{Field: "data", Reason: "is empty"}, eventstore.ErrInvalid, "data is empty"},
		{&eventstore.OutcomeUnknownError{Err: errGaveUp}, eventstore.ErrOutcomeUnknown, "commit: outcome unknown: gave up"},
	} {
		if !errors.Is(fmt.Errorf("x: %w", x.err), x.target) || x.err.Error() != x.says {
			t.Errorf("%q is %v: %t; it should say %q", x.err, x.target, errors.Is(x.err, x.target), x.says)
		}
	}
}
