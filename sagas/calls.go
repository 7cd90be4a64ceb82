package sagas

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/lossless"
	"github.com/necrostack/necrostack/spine"
	"github.com/sony/gobreaker/v2"
)

// requested asks for a call. Its stream is named by the id of the call.
type requested struct {
	Saga     string          `json:"saga"`
	Instance string          `json:"instance"`
	Version  int             `json:"version"`
	Step     string          `json:"step"`
	Undo     bool            `json:"undo,omitempty"`
	Attempt  int             `json:"attempt"`
	Revokes  uuid.UUID       `json:"revokes,omitzero"` // a command or call that must not be made any more
	State    json.RawMessage `json:"state"`
}

func (requested) EventType() string { return "saga call requested" }

// answered is what came of it.
type answered struct {
	Refused bool   `json:"refused,omitempty"`
	Failed  bool   `json:"failed,omitempty"` // it is not known what came of it
	Held    bool   `json:"held,omitempty"`   // it was not made
	Why     string `json:"why,omitempty"`
	Attempt int    `json:"attempt,omitempty"` // which one failed, or was not made
}

func (answered) EventType() string { return "saga call answered" }

// revoked says, by its tag, that a command or call must not be made any more: what undoes it is about to be called.
type revoked struct {
	Command uuid.UUID `json:"command"`
}

func (revoked) EventType() string { return "saga call revokes" }

// keyOf is the key that a call is made with. It is not the call's own id: whoever is called may use it for a command in the
// same log, and the reply to that is none to the call.
func keyOf(call uuid.UUID) uuid.UUID { return uuid.NewSHA1(call, []byte("key")) }

// calls is the category of the streams of a saga's calls.
func calls(saga string) string { return category(saga) + ".call" }

// calls reports whether any step makes calls.
func (en *engine[S]) calls() bool {
	for _, d := range en.defs {
		for id := range d.byID {
			if st := d.step(id); st.Do.kind == call || st.Undo.kind == call {
				return true
			}
		}
	}
	return false
}

// caller is the organ that makes a saga's calls: several at once, in no order.
type caller[S any] struct{ en *engine[S] }

// Attach implements spine.Organ.
func (c caller[S]) Attach(st *eventstore.Store) (spine.Wiring, error) {
	longest := time.Duration(0)
	breakers := map[string]*gobreaker.CircuitBreaker[eventstore.Payload]{}
	for _, d := range c.en.defs {
		for id := range d.byID {
			step := d.step(id)
			for _, undo := range []bool{false, true} {
				a := step.action(undo)
				if a.kind != call {
					continue
				}
				longest = max(longest, step.timeout(undo))
				if b := a.breaker; b.Failures > 0 && breakers[breakerOf(id, undo)] == nil {
					breakers[breakerOf(id, undo)] = gobreaker.NewCircuitBreaker[eventstore.Payload](gobreaker.Settings{
						Name: c.en.name + " " + breakerOf(id, undo), Timeout: b.Open,
						ReadyToTrip:  func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= uint32(b.Failures) }, //nolint:gosec // checked: not negative
						IsSuccessful: func(err error) bool { _, no := errors.AsType[*refusal](err); return err == nil || no },
					})
				}
			}
		}
	}
	w := spine.Wiring{
		Name:    calls(c.en.name),
		Listens: c.en.supersedes(eventstore.InCategory(calls(c.en.name)).Only(requested{}.EventType())),
		Emits:   true,
		Policy:  spine.Policy{Delivery: spine.Competing, Deadline: longest + 5*time.Second, OnError: spine.ErrorNack},
	}
	w.Handle = func(ctx context.Context, in spine.Input) (out spine.Output, err error) {
		q, err := eventstore.Decode[requested](*in.Event)
		if err != nil {
			return out, spine.Park(err)
		}
		d := c.en.defs[q.Version]
		if d == nil || d.step(q.Step) == nil {
			return out, fmt.Errorf("call of step %q of version %d: %w", q.Step, q.Version, ErrVersion)
		}
		id, err := uuid.Parse(in.Stream.ID())
		if err != nil {
			return out, spine.Park(err)
		}
		if done, err := decided(ctx, st, id); err != nil || done {
			return out, err
		}
		if err := revoke(ctx, st, in, q.Revokes); err != nil {
			return out, err
		}
		return c.outcome(ctx, st, in, q, id, d.step(q.Step), breakers[breakerOf(q.Step, q.Undo)])
	}
	return w, nil
}

func breakerOf(step string, undo bool) string {
	if undo {
		return "undo of " + step
	}
	return step
}

// decided reports whether a call has its answer already, or was revoked.
func decided(ctx context.Context, st *eventstore.Store, id uuid.UUID) (bool, error) {
	for _, err := range st.Read(ctx, eventstore.WithTags(spine.CommandTag(id)), eventstore.Range{Limit: 1}) {
		return err == nil, err
	}
	return false, nil
}

// revoke sees to it that what a call undoes is not decided any more, unless it was before: else it could happen between the
// call and its answer, when nobody undoes it.
func revoke(ctx context.Context, st *eventstore.Store, in spine.Input, id uuid.UUID) error {
	if id == uuid.Nil {
		return nil
	}
	if done, err := decided(ctx, st, id); err != nil || done {
		return err
	}
	tag := spine.CommandTag(id)
	e, err := st.Encode(eventstore.Draft{Payload: revoked{id}, Tags: []string{tag}})
	if err != nil {
		return err
	}
	schema := e.Metadata.Schema
	e.Metadata = in.Child()
	e.Metadata.Schema = schema
	_, err = st.Commit(ctx, eventstore.Commit{
		Appends: []eventstore.Append{{Stream: in.Stream, Expect: eventstore.Any, Events: []eventstore.Event{e}}},
		Unless:  []eventstore.Condition{{Query: eventstore.WithTags(tag)}},
	})
	if errors.Is(err, eventstore.ErrConflict) { // it was decided just now
		return nil
	}
	return err
}

// outcome makes the call, and says what came of it.
func (c caller[S]) outcome(
	ctx context.Context, st *eventstore.Store, in spine.Input, q requested, id uuid.UUID, step *Step[S],
	breaker *gobreaker.CircuitBreaker[eventstore.Payload],
) (out spine.Output, err error) {
	state, err := lossless.Decode[S](q.State)
	if err != nil {
		return out, spine.Park(err)
	}
	a := step.action(q.Undo)
	limited, cancel := context.WithTimeout(ctx, step.timeout(q.Undo))
	defer cancel()
	invoke := func() (p eventstore.Payload, err error) {
		defer func() {
			if v := recover(); v != nil {
				err = &spine.PanicError{Value: v}
			}
		}()
		p, _, err = a.call(limited, state, keyOf(id))
		return p, err
	}
	var p eventstore.Payload
	if breaker == nil {
		p, err = invoke()
	} else {
		p, err = breaker.Execute(invoke)
	}
	if ctx.Err() != nil {
		return out, context.Cause(ctx) // it is about to end, and another worker will have the call
	}
	answer := answered{Attempt: q.Attempt}
	tags := []string{spine.CommandTag(id)}
	if q.Revokes != uuid.Nil {
		tags = append(tags, spine.CommandTag(q.Revokes))
	}
	_, no := errors.AsType[*refusal](err)
	switch {
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
		answer.Held, answer.Why, tags = true, err.Error(), nil
	case no:
		answer.Refused, answer.Why = true, shorten(err.Error())
	case err != nil:
		answer.Failed, answer.Why, tags = true, shorten(err.Error()), nil
	}
	events := []eventstore.Payload{eventstore.Draft{Payload: answer, Tags: tags}}
	if err == nil {
		events = append(events, p)
	}
	all := eventstore.Append{Stream: in.Stream, Expect: eventstore.Any, Events: make([]eventstore.Event, len(events))}
	for i, p := range events {
		if all.Events[i], err = st.Encode(p); err != nil {
			return out, spine.Park(fmt.Errorf("outcome of the call of step %q: %w", q.Step, err))
		}
		all.Events[i].Stream = ""
	}
	out.Commit.Appends = []eventstore.Append{all}
	if tags != nil {
		out.Commit.Unless = []eventstore.Condition{{Query: eventstore.WithTags(tags[0])}}
	}
	return out, nil
}

// shorten cuts a text to what an event should hold of it.
func shorten(text string) string {
	const most = 1 << 10
	return strings.ToValidUTF8(strings.ReplaceAll(text[:min(len(text), most)], "\x00", "\uFFFD"), "")
}
