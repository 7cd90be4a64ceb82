package organs

import (
	"context"
	"errors"
	"fmt"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

// Aggregate decides from the state of one stream, Category-ID: what the events of the stream make of the
// zero S. It is the decider of Jérémie Chassaing, https://thinkbeforecoding.com/post/2021/12/17/functional-event-sourcing-decider.
//
// States are cached between decisions. A decision is committed on condition that its stream has not
// changed meanwhile; a refusal, or a decision for nothing, is given only after looking at the stream again.
type Aggregate[S any] struct {
	Category string       // of its streams, and the organ's name
	Evolve   Evolve[S]    // pure; types that it does not know are passed over
	Decide   Decide[S]    // pure; must not change the state it is given
	Cache    int          // states kept in memory; negative: none. Defaults to 1024
	Policy   spine.Policy // for the events that it reacts to
}

// Decide lists what an aggregate decides: commands, by Handle, and events, by When.
type Decide[S any] []Decider[S]

// Decider is one case of a Decide.
type Decider[S any] struct {
	typ    string
	event  bool                                   // made by When
	id     func(eventstore.Event) (string, error) // When: which entity
	decide func(S, any) (Events, error)           // of a spine.Request, or of an eventstore.Event
	fault  error
}

// Handle decides commands of C's type, which come by Spine.Send: events, or an error as the reason to refuse.
// It may run several times for one command.
func Handle[S any, C spine.Command](decide func(state S, c C) (Events, error)) Decider[S] {
	name, fault := spine.TypeOf[C]()
	if decide == nil && fault == nil {
		fault = fmt.Errorf("handler of %s is nil", name)
	}
	return Decider[S]{typ: name, fault: fault, decide: func(s S, in any) (Events, error) {
		c, err := spine.Receive[C](in.(spine.Request)) //nolint:forcetypeassert // Try and Attach see to it
		if err != nil {
			return nil, err
		}
		return decide(s, c)
	}}
}

// When decides about events of E's type from elsewhere in the log, on behalf of the entity that to names;
// an event for which it names none is passed over.
// What it returns, and the fact that it was asked, are one commit: every event is decided exactly once. An
// error means: try again, and if that does not help, park the event; see also spine.Park.
func When[S any, E eventstore.Payload](to func(e E) (id string), decide func(state S, e E) (Events, error)) Decider[S] {
	name, fault := eventstore.TypeOf[E]()
	if (decide == nil || to == nil) && fault == nil {
		fault = fmt.Errorf("decision on %s is nil", name)
	}
	id := func(ev eventstore.Event) (string, error) {
		e, err := eventstore.Decode[E](ev)
		if err != nil {
			return "", err
		}
		return to(e), nil
	}
	return Decider[S]{typ: name, fault: fault, event: true, id: id, decide: func(s S, in any) (Events, error) {
		e, err := eventstore.Decode[E](in.(eventstore.Event)) //nolint:forcetypeassert // Try and Attach see to it
		if err != nil {
			return nil, spine.Park(err)
		}
		return decide(s, e)
	}}
}

// Load folds the entity's stream, without the cache. It passes over types that Evolve does not know; an id
// without a stream is the zero S at version 0.
func (a Aggregate[S]) Load(ctx context.Context, st *eventstore.Store, id string) (S, eventstore.Version, error) {
	return eventstore.Load(ctx, st, eventstore.StreamOf(a.Category, id), a.Evolve)
}

// Attach implements spine.Organ.
func (a Aggregate[S]) Attach(st *eventstore.Store) (spine.Wiring, error) {
	w := spine.Wiring{Name: a.Category, Policy: a.Policy}
	es := newEntities(st, a)
	events := map[string]Decider[S]{}
	wired := map[string]bool{}
	for _, d := range a.Decide {
		if d.fault != nil || d.decide == nil || wired[d.typ] {
			continue // validate says so
		}
		wired[d.typ] = true
		if d.event {
			events[d.typ] = d
			w.Listens = w.Listens.Or(eventstore.OfType(d.typ))
			continue
		}
		w.Decides = append(w.Decides, spine.CommandHandler{
			Type: d.typ,
			Decide: func(ctx context.Context, in spine.Request) (spine.Output, error) {
				return es.decide(ctx, in.Command.StreamID(), d, in)
			},
		})
	}
	if len(events) > 0 {
		w.Key = func(e eventstore.Event) ([]string, error) {
			id, err := events[e.Type].id(e)
			if id == "" {
				return nil, err // nobody's
			}
			return []string{id}, err
		}
		w.Handle = func(ctx context.Context, in spine.Input) (spine.Output, error) {
			return es.decide(ctx, in.Keys[0], events[in.Type], *in.Event)
		}
	}
	return w, a.validate()
}

// validate reports all faults at once.
func (a Aggregate[S]) validate() error {
	errs := []error{a.Evolve.Validate(), eventstore.CheckCategory("category", a.Category)}
	seen := map[string]bool{}
	for i, d := range a.Decide {
		switch {
		case d.fault != nil:
			errs = append(errs, d.fault)
		case d.decide == nil:
			errs = append(errs, fmt.Errorf("decider %d is empty: make it with Handle or When", i+1))
		case seen[d.typ]:
			errs = append(errs, fmt.Errorf("two deciders for %s", d.typ))
		}
		seen[d.typ] = true
	}
	return errors.Join(errs...)
}

// Handler is an organ that decides; organstest tries it.
type Handler[S any] interface {
	spine.Organ

	// Try decides about a command, or an event, from a history and without a store. It returns the state
	// that was decided on.
	Try(history []eventstore.Event, on any) (state S, out Events, err error)
}

// Try implements Handler: on is a spine.Command or an eventstore.Payload.
func (a Aggregate[S]) Try(history []eventstore.Event, on any) (state S, out Events, err error) {
	for _, ev := range history {
		if err := a.Evolve.Apply(&state, ev); err != nil && !errors.Is(err, eventstore.ErrUnknownType) {
			return state, nil, err
		}
	}
	var typ string
	var in any
	var event bool
	switch x := on.(type) {
	case spine.Command:
		typ, in = x.CommandType(), spine.Request{Command: x}
	case eventstore.Payload:
		ev, err := eventstore.Encode(x)
		if err != nil {
			return state, nil, err
		}
		typ, in, event = ev.Type, ev, true
	default:
		return state, nil, fmt.Errorf("a %T is neither a command nor an event", on)
	}
	for _, d := range a.Decide {
		if d.typ == typ && d.event == event {
			out, err = d.decide(state, in)
			return state, out, err
		}
	}
	return state, nil, fmt.Errorf("%s does not decide %s", a.Category, typ)
}
