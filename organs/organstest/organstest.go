// Package organstest tests organs without a store: given a history, when a command or an event, then events,
// a refusal or a state. A case takes microseconds.
package organstest

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// Scenario is a handler with a history.
type Scenario[S any] struct {
	t       testing.TB
	handler organs.Handler[S]
	history []eventstore.Event
}

// Given starts from a history: what the handler's stream, or its query, holds.
func Given[S any](t testing.TB, h organs.Handler[S], history ...eventstore.Payload) Scenario[S] {
	t.Helper()
	s := Scenario[S]{t: t, handler: h}
	for i, p := range history {
		e, err := eventstore.Encode(p)
		if err != nil {
			t.Fatalf("given event %d: %v", i+1, err)
		}
		e.Version, e.Position = eventstore.Version(i+1), eventstore.Position(i+1)
		s.history = append(s.history, e)
	}
	return s
}

// When decides a command.
func (s Scenario[S]) When(c spine.Command) Outcome[S] { return s.try(c) }

// WhenEvent lets the handler react to an event from elsewhere.
func (s Scenario[S]) WhenEvent(e eventstore.Payload) Outcome[S] { return s.try(e) }

func (s Scenario[S]) try(on any) Outcome[S] {
	state, out, err := s.handler.Try(s.history, on)
	return Outcome[S]{Reaction{s.t, fmt.Sprintf("%T%+v", on, on), out, err}, state}
}

// Outcome is what a command or an event led to.
type Outcome[S any] struct {
	Reaction
	state S
}

// ThenState wants the state that was decided on.
func (o Outcome[S]) ThenState(want S) Outcome[S] {
	o.t.Helper()
	if diff := compare(want, o.state); diff != "" {
		o.t.Errorf("when %s: state (-want +got):\n%s", o.when, diff)
	}
	return o
}

// Then wants exactly these events, and no error.
func (o Outcome[S]) Then(want ...eventstore.Payload) Outcome[S] {
	o.t.Helper()
	o.Reaction.Then(want...)
	return o
}

// ThenError wants a refusal, by errors.Is.
func (o Outcome[S]) ThenError(want error) Outcome[S] {
	o.t.Helper()
	o.Reaction.ThenError(want)
	return o
}

// Reaction is what a reactor made of an event.
type Reaction struct {
	t    testing.TB
	when string
	out  organs.Events
	err  error
}

// React lets a reactor react to an event.
func React(t testing.TB, r organs.Reactor, e eventstore.Payload) Reaction {
	t.Helper()
	ev, err := eventstore.Encode(e)
	if err != nil {
		t.Fatalf("when event: %v", err)
	}
	out, err := r.Try(t.Context(), ev)
	return Reaction{t, fmt.Sprintf("%T%+v", e, e), out, err}
}

// Then wants exactly these events, and no error; without events, none.
func (r Reaction) Then(want ...eventstore.Payload) Reaction {
	r.t.Helper()
	if r.err != nil {
		r.t.Errorf("when %s: failed: %v\nwant events:%s", r.when, r.err, list(want))
		return r
	}
	if diff := compare(unite(want), unite(r.out)); diff != "" {
		r.t.Errorf("when %s: events (-want +got):\n%s", r.when, diff)
	}
	return r
}

// ThenError wants an error, by errors.Is.
func (r Reaction) ThenError(want error) Reaction {
	r.t.Helper()
	switch {
	case r.err == nil:
		r.t.Errorf("when %s: want error %q, got events:%s", r.when, want, list(r.out))
	case !errors.Is(r.err, want):
		r.t.Errorf("when %s: want error %q, got %q", r.when, want, r.err)
	}
	return r
}

// list shows payloads, a line each.
func list(payloads []eventstore.Payload) string {
	if len(payloads) == 0 {
		return " none"
	}
	var b strings.Builder
	for _, p := range payloads {
		fmt.Fprintf(&b, "\n  %T%+v", p, p)
	}
	return b.String()
}

// compare returns the difference between two values, unexported fields included; empty for none.
func compare[T any](want, got T) string {
	all := cmp.Exporter(func(reflect.Type) bool { return true })
	same := cmp.Comparer(func(x, y error) bool { return errors.Is(x, y) || errors.Is(y, x) }) // it has to be symmetric
	return cmp.Diff(want, got, all, same)
}

// unite makes no difference between no events and an empty list of them.
func unite(payloads []eventstore.Payload) []eventstore.Payload {
	if len(payloads) == 0 {
		return nil
	}
	return payloads
}
