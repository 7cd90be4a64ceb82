// Package organstest tests organs without a store: given a history, when a command or an event, then events,
// a refusal or a state. A case takes microseconds.
//
// What is wanted of an outcome may be chained: an error and the events that are committed with it, a state and
// the events. Timers and delayed events are wanted like events: organs.Set, organs.Stop, organs.At.
package organstest

import (
	"fmt"
	"testing"

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

// Given starts from a history: what the handler's stream, or the log that its query reads, holds.
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

// When decides a command. A state that a snapshot would not keep fails the test: see organs.Snapshot.
func (s Scenario[S]) When(c spine.Command) Outcome[S] {
	s.t.Helper()
	return s.try(c)
}

// WhenEvent lets the handler react to an event from elsewhere.
func (s Scenario[S]) WhenEvent(e eventstore.Payload) Outcome[S] {
	s.t.Helper()
	return s.try(e)
}

func (s Scenario[S]) try(on any) Outcome[S] {
	s.t.Helper()
	state, out, err := s.handler.Try(s.history, on)
	o := Outcome[S]{Reaction{s.t, fmt.Sprintf("%T%+v", on, on), out, err}, state}
	if h, ok := s.handler.(interface{ CheckSnapshot(state S) error }); ok {
		if err := h.CheckSnapshot(state); err != nil {
			s.t.Errorf("when %s: state: %v", o.when, err)
		}
	}
	return o
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

// ThenEvents wants exactly these events, with an error or without.
func (o Outcome[S]) ThenEvents(want ...eventstore.Payload) Outcome[S] {
	o.t.Helper()
	o.Reaction.ThenEvents(want...)
	return o
}

// ThenError wants a refusal, by errors.Is.
func (o Outcome[S]) ThenError(want error) Outcome[S] {
	o.t.Helper()
	o.Reaction.ThenError(want)
	return o
}

// ThenErrorText wants an error with this in its text.
func (o Outcome[S]) ThenErrorText(want string) Outcome[S] {
	o.t.Helper()
	o.Reaction.ThenErrorText(want)
	return o
}

// ThenParked wants an error that is final: one made by spine.Park.
func (o Outcome[S]) ThenParked() Outcome[S] {
	o.t.Helper()
	o.Reaction.ThenParked()
	return o
}
