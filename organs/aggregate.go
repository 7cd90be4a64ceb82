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
	Category string          // of its streams, and the organ's name
	Evolve   Evolve[S]       // pure; types that it does not know are passed over
	Decide   Decide[S]       // pure; must not change the state it is given
	Sends    []spine.Command // zero values of the commands that it puts into the log, by spine.Post
	Cache    int             // states kept in memory; negative: none. Defaults to 1024
	Snapshot Snapshot        // of states that take long to load. Defaults to none
	Policy   spine.Policy    // for the events that it reacts to, and for commands that come through the log

	// KeyVersion is to be raised by one whenever a When names another entity for an event than before;
	// FormerKey, if not nil, maps events to the entities it named before that. See spine.Wiring.
	KeyVersion int
	FormerKey  eventstore.Key
}

// Load folds the entity's stream, beginning with its snapshot if there is one, and without the cache. It passes
// over types that Evolve does not know; an id without a stream is the zero S at version 0.
func (a Aggregate[S]) Load(ctx context.Context, st *eventstore.Store, id string) (S, eventstore.Version, error) {
	e := &entity[S]{stream: eventstore.StreamOf(a.Category, id)}
	if _, err := newEntities(st, a).refresh(ctx, e); err != nil {
		return e.state, e.version, fmt.Errorf("load %s: %w", e.stream, err)
	}
	return e.state, e.version, nil
}

// Attach implements spine.Organ.
func (a Aggregate[S]) Attach(st *eventstore.Store) (spine.Wiring, error) {
	sends, faults := sent(a.Sends)
	w := spine.Wiring{Name: a.Category, Sends: sends, Policy: a.Policy}
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
			Type:   d.typ,
			Decode: d.decode,
			Decide: func(ctx context.Context, in spine.Request) (spine.Output, error) {
				return es.decide(ctx, in.Command.StreamID(), d, in)
			},
		})
	}
	if len(events) > 0 {
		w.Emits = true
		w.Key = func(e eventstore.Event) ([]string, error) { return events[e.Type].to(e) }
		w.KeyVersion, w.FormerKey = a.KeyVersion, a.FormerKey
		w.Handle = func(ctx context.Context, in spine.Input) (spine.Output, error) {
			return es.decideAll(ctx, in.Keys, events[in.Type], *in.Event)
		}
	}
	if es.snapshots.keeper == nil {
		w.Prefetch = es.prefetch
	}
	return w, errors.Join(a.validate(), errors.Join(faults...), faultOf[S](a.Snapshot, st.Backend()))
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

// Try implements Handler: on is a spine.Command or spine.Request, or an eventstore.Payload or eventstore.Event.
func (a Aggregate[S]) Try(history []eventstore.Event, on any) (state S, out Events, err error) {
	for _, ev := range history {
		if err := a.Evolve.Apply(&state, ev); err != nil && !errors.Is(err, eventstore.ErrUnknownType) {
			return state, nil, err
		}
	}
	typ, event, in, err := tried(on)
	if err != nil {
		return state, nil, err
	}
	for _, d := range a.Decide {
		if d.typ == typ && d.event == event {
			if ev, ok := in.(eventstore.Event); ok && d.keyed {
				if in, err = d.first(ev); err != nil {
					return state, nil, err
				}
			}
			out, err = d.decide(state, in)
			return state, out, err
		}
	}
	return state, nil, fmt.Errorf("%s does not decide %s", a.Category, typ)
}
