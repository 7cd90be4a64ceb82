package organs

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

// Decision decides the commands of one type from whatever events a query selects, of however many entities: a
// Dynamic Consistency Boundary, https://dcb.events. The query is narrowed to the types that Evolve knows. The
// decision is committed on condition that nothing more has come that the narrowed query selects, and is made
// again if something has; other events are no conflict.
//
// It reads all that the query selects for every decision, and keeps nothing in memory: let the query name tags
// or a stream. Commands come by Spine.Send and through the log, as those of an Aggregate do.
//
// The organ has the name of the command. C may be a spine.Received.
type Decision[S any, C spine.Command] struct {
	Category string                                   // what it appends goes to the stream Category-StreamID, unless eventstore.In says otherwise
	Query    func(c C) eventstore.Query               // pure; what matters for the decision
	Start    func(c C) S                              // pure; the state before any event. Defaults to the zero S
	Evolve   Evolve[S]                                // pure
	Decide   func(state S, c C) (out Events, _ error) // pure; an error is the reason to refuse
	Sends    []spine.Command                          // zero values of the commands that it puts into the log, by spine.Post
	Policy   spine.Policy                             // for commands that come through the log
}

// Attach implements spine.Organ.
func (d Decision[S, C]) Attach(st *eventstore.Store) (spine.Wiring, error) {
	name, fault := spine.TypeOf[C]()
	sends, faults := sent(d.Sends)
	w := spine.Wiring{Name: cmp.Or(name, d.Category), Sends: sends, Policy: d.Policy}
	if fault == nil {
		work := &deciding[S, C]{Decision: d, store: st}
		w.Decides = []spine.CommandHandler{{Type: name, Decode: spine.DecodeCommand[C], Decide: work.decide}}
	}
	return w, errors.Join(fault, d.validate(), errors.Join(faults...))
}

// validate reports all faults at once.
func (d Decision[S, C]) validate() error {
	errs := []error{eventstore.CheckCategory("category", d.Category), d.Evolve.Validate()}
	if d.Query == nil {
		errs = append(errs, errors.New("decision has a nil Query"))
	}
	if d.Decide == nil {
		errs = append(errs, errors.New("decision has a nil Decide"))
	}
	if len(d.Evolve) == 0 {
		errs = append(errs, errors.New("decision has an Evolve without cases, so that no event would matter"))
	}
	return errors.Join(errs...)
}

// deciding is a decision at work.
type deciding[S any, C spine.Command] struct {
	Decision[S, C]

	store *eventstore.Store
	batch unsettled
}

// decide reads, folds and decides about one command.
func (d *deciding[S, C]) decide(ctx context.Context, in spine.Request) (out spine.Output, err error) {
	c, err := spine.Receive[C](in)
	if err != nil {
		return out, err
	}
	stream, err := streamOf(d.Category, in.Command.StreamID())
	if err != nil {
		return out, err
	}
	q, err := d.query(c)
	if err != nil {
		return out, err
	}
	batch := spine.Batch(ctx)
	if d.batch.has(batch, q) {
		return out, spine.ErrCommitFirst
	}
	state, through := d.start(c), eventstore.Position(0)
	for ev, err := range d.store.Read(ctx, q, eventstore.Range{Through: &through}) {
		if err == nil {
			err = d.Evolve.Apply(&state, ev)
		}
		if err != nil {
			return out, err
		}
	}
	out.Seen = eventstore.Result{Position: through}
	events, refusal := d.Decide(state, c)
	if refusal != nil {
		return out, spine.Reject(in, refusal)
	}
	if len(events) == 0 {
		return out, nil
	}
	if out.Commit, _, err = commitOf(d.store, events, stream, eventstore.Any); err != nil {
		return spine.Output{}, fmt.Errorf("decision on %s: %w", in.Command.CommandType(), err)
	}
	out.Commit.Unless = []eventstore.Condition{{Query: q, After: through}}
	out.Settled = d.batch.add(batch, &out.Commit)
	return out, nil
}

// query is what matters for a command. What is wrong with it is final: asking again would not help.
func (d Decision[S, C]) query(c C) (eventstore.Query, error) {
	fault := func(reason string) (eventstore.Query, error) {
		return eventstore.Query{}, spine.Park(&eventstore.InvalidError{Field: "query of " + c.CommandType(), Reason: reason})
	}
	q := d.Query(c)
	if q.IsZero() {
		return fault("is zero: it selects nothing, so that any decision would stand")
	}
	if q = q.Only(d.Evolve.Types()...); q.IsZero() {
		return fault("selects no type that Evolve knows")
	}
	return q, nil
}

func (d Decision[S, C]) start(c C) (s S) {
	if d.Start != nil {
		s = d.Start(c)
	}
	return s
}

// Try implements Handler: on is a spine.Command or spine.Request. Of the history it folds what the query selects; an event
// without a stream stands in the decision's own.
func (d Decision[S, C]) Try(history []eventstore.Event, on any) (state S, out Events, err error) {
	name, fault := spine.TypeOf[C]()
	if err := errors.Join(fault, d.validate()); err != nil {
		return state, nil, err
	}
	typ, event, in, err := tried(on)
	if err != nil {
		return state, nil, err
	}
	request, ok := in.(spine.Request)
	if !ok || event || typ != name {
		return state, nil, fmt.Errorf("%s does not decide %s", name, typ)
	}
	c, err := spine.Receive[C](request)
	if err != nil {
		return state, nil, err
	}
	q, err := d.query(c)
	if err != nil {
		return state, nil, err
	}
	state = d.start(c)
	for _, ev := range history {
		if ev.Stream == "" {
			ev.Stream = eventstore.StreamOf(d.Category, request.Command.StreamID())
		}
		if q.Matches(&ev) {
			if err := d.Evolve.Apply(&state, ev); err != nil {
				return state, nil, err
			}
		}
	}
	out, err = d.Decide(state, c)
	return state, out, err
}
