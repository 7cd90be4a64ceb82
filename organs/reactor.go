package organs

import (
	"context"
	"errors"
	"fmt"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

// Reactor maps events to events. Its output counts exactly once; what it does outside happens at least once,
// so use the event's id as idempotency key there (take eventstore.Recorded to see it).
type Reactor struct {
	Name   string
	On     Reactions
	Sends  []spine.Command // zero values of the commands that it puts into the log, by spine.Post
	Key    eventstore.Key  // which events keep their order. Defaults to eventstore.ByStream
	Policy spine.Policy

	// KeyVersion is to be raised by one whenever Key changes what it returns; FormerKey, if not nil, is what Key
	// was before that. See spine.Wiring.
	KeyVersion int
	FormerKey  eventstore.Key
}

// Reactions lists a reactor's handlers, one for each event type.
type Reactions []Reaction

// Reaction is one handler of a Reactor, made by React.
type Reaction struct {
	typ   string
	react func(ctx context.Context, ev eventstore.Event) (Events, error)
	fault error
}

// React handles events of E's type. What it returns goes to the event's own stream, unless eventstore.In
// says otherwise. An error means: try again, and if that does not help, park the event; spine.Park(err) means
// park it now, and commit what was returned with it.
func React[E eventstore.Payload](react func(ctx context.Context, e E) (Events, error)) Reaction {
	name, fault := eventstore.TypeOf[E]()
	if react == nil && fault == nil {
		fault = fmt.Errorf("reaction to %s is nil", name)
	}
	return Reaction{name, func(ctx context.Context, ev eventstore.Event) (Events, error) {
		e, err := eventstore.Decode[E](ev)
		if err != nil {
			return nil, spine.Park(err) // it will not get better
		}
		return react(ctx, e)
	}, fault}
}

// Attach implements spine.Organ.
func (r Reactor) Attach(st *eventstore.Store) (spine.Wiring, error) {
	sends, errs := sent(r.Sends)
	w := spine.Wiring{
		Name: r.Name, Key: r.Key, KeyVersion: r.KeyVersion, FormerKey: r.FormerKey, Sends: sends, Emits: true, Policy: r.Policy,
	}
	var by []Reaction // few, so that looking through them is quick
	for i, x := range r.On {
		switch {
		case x.fault != nil:
			errs = append(errs, x.fault)
		case x.react == nil:
			errs = append(errs, fmt.Errorf("reaction %d is empty: make it with React", i+1))
		case find(by, x.typ) != nil:
			errs = append(errs, fmt.Errorf("two reactions to %s", x.typ))
		default:
			by = append(by, x)
			w.Listens = w.Listens.Or(eventstore.OfType(x.typ))
		}
	}
	w.Handle = func(ctx context.Context, in spine.Input) (out spine.Output, err error) {
		events, failed := find(by, in.Type).react(ctx, *in.Event)
		if out.Commit, _, err = commitOf(st, events, in.Stream, eventstore.Any); err != nil {
			return spine.Output{}, fmt.Errorf("reaction to %s: %w", in.Type, errors.Join(failed, err))
		}
		return out, failed
	}
	return w, errors.Join(errs...)
}

// Try reacts to one event, without a store. A type without a reaction is an error.
func (r Reactor) Try(ctx context.Context, ev eventstore.Event) (Events, error) {
	if x := find(r.On, ev.Type); x != nil {
		return x.react(ctx, ev)
	}
	return nil, fmt.Errorf("%s has no reaction to %s", r.Name, ev.Type)
}

// find returns the reaction to events of a type.
func find(in []Reaction, typ string) *Reaction {
	for i := range in {
		if in[i].typ == typ {
			return &in[i]
		}
	}
	return nil
}
