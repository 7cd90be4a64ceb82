package organs

import (
	"fmt"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

// Decide lists what an aggregate decides: commands, by Handle, and events, by When.
type Decide[S any] []Decider[S]

// Decider is one case of a Decide.
type Decider[S any] struct {
	typ    string
	event  bool                                             // made by When
	keyed  bool                                             // made by WhenEvent: it takes a keyed
	to     eventstore.Key                                   // When: which entities
	decode func(e *eventstore.Event) (spine.Command, error) // Handle: a command that came through the log
	decide func(S, any) (Events, error)                     // of a spine.Request, or of an eventstore.Event
	fault  error
}

// Handle decides commands of C's type, which come by Spine.Send or, put there by spine.Post, through the log:
// events, or an error as the reason to refuse. It may run several times for one command.
//
// A command that came through the log ends in exactly one reply, a spine.Accepted or a spine.Rejected, in one
// commit with its events. A refusal is a reply, and no failure.
func Handle[S any, C spine.Command](decide func(state S, c C) (Events, error)) Decider[S] {
	name, fault := spine.TypeOf[C]()
	if decide == nil && fault == nil {
		fault = fmt.Errorf("handler of %s is nil", name)
	}
	return Decider[S]{typ: name, fault: fault, decode: spine.DecodeCommand[C], decide: func(s S, in any) (Events, error) {
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
//
// The parts of an event that an upcaster split cannot be committed apart. If several of them concern one entity,
// and its Evolve takes eventstore.Recorded, which no uncommitted event can be, the event is parked.
func When[S any, E eventstore.Payload](to func(e E) (id string), decide func(state S, e E) (Events, error)) Decider[S] {
	name, fault := eventstore.TypeOf[E]()
	if (decide == nil || to == nil) && fault == nil {
		fault = fmt.Errorf("decision on %s is nil", name)
	}
	key := func(ev eventstore.Event) ([]string, error) {
		e, err := eventstore.Decode[E](ev)
		if err != nil {
			return nil, err
		}
		if id := to(e); id != "" {
			return []string{id}, nil
		}
		return nil, nil
	}
	return Decider[S]{typ: name, fault: fault, event: true, to: key, decide: func(s S, in any) (Events, error) {
		e, err := eventstore.Decode[E](in.(eventstore.Event)) //nolint:forcetypeassert // Try and Attach see to it
		if err != nil {
			return nil, spine.Park(err)
		}
		return decide(s, e)
	}}
}

// WhenEvent is When for events of a type that is known by its name alone, on behalf of all entities that to names, one
// after the other: id is whose turn it is. What follows for those of them that are in one partition is one commit.
func WhenEvent[S any](typ string, to eventstore.Key, decide func(id string, state S, ev eventstore.Event) (Events, error)) Decider[S] {
	fault := eventstore.CheckName("event type", typ)
	if (decide == nil || to == nil) && fault == nil {
		fault = fmt.Errorf("decision on %s is nil", typ)
	}
	return Decider[S]{typ: typ, fault: fault, event: true, to: to, decide: func(s S, in any) (Events, error) {
		k := in.(keyed) //nolint:forcetypeassert // Try and Attach see to it
		return decide(k.id, s, k.ev)
	}, keyed: true}
}

// keyed is an event on behalf of one of the entities that it concerns.
type keyed struct {
	id string
	ev eventstore.Event
}

// concerning is an event as the decider takes it.
func (d Decider[S]) concerning(id string, ev eventstore.Event) any {
	if d.keyed {
		return keyed{id, ev}
	}
	return ev
}

// first is an event on behalf of the first of the entities that it concerns.
func (d Decider[S]) first(ev eventstore.Event) (any, error) {
	ids, err := d.to(ev)
	if err == nil && len(ids) == 0 {
		err = fmt.Errorf("%s concerns nobody", ev.Type)
	}
	if err != nil {
		return nil, err
	}
	return d.concerning(ids[0], ev), nil
}

// Handler is an organ that decides, an Aggregate or a Decision; organstest tries it.
type Handler[S any] interface {
	spine.Organ

	// Try decides about a command, or an event, from a history and without a store. It returns the state
	// that was decided on. One that is to have an id, a time or an origin comes as a spine.Request, or as an
	// eventstore.Event.
	Try(history []eventstore.Event, on any) (state S, out Events, err error)
}

// tried takes what Try is to decide on for what a Decider takes.
func tried(on any) (typ string, event bool, in any, err error) {
	switch x := on.(type) {
	case spine.Request:
		return x.Command.CommandType(), false, x, nil
	case eventstore.Event:
		return x.Type, true, x, nil
	case spine.Command:
		return x.CommandType(), false, spine.Request{Command: x}, nil
	case eventstore.Payload:
		ev, err := eventstore.Encode(x)
		return ev.Type, true, ev, err
	default:
		return "", false, nil, fmt.Errorf("a %T is neither a command nor an event", on)
	}
}
