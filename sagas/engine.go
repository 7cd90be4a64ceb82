package sagas

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/lossless"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// engine drives the instances of one saga: each is an aggregate, that decides about what concerns it.
type engine[S any] struct {
	name    string
	newest  *definition[S]
	defs    map[int]*definition[S] // by version
	starter Starter[S]
	policy  spine.Policy
}

// engine compiles all versions of the saga, and reports all faults at once.
func (s Saga[S]) engine() (*engine[S], error) {
	en := &engine[S]{name: s.Name, defs: map[int]*definition[S]{}, starter: s.Start, policy: s.Policy}
	var errs []error
	for i, v := range slices.Concat([]Saga[S]{s}, s.Former) {
		d, err := v.define()
		switch {
		case i == 0:
			en.newest = d
		case v.Name != s.Name:
			err = errors.Join(err, fmt.Errorf("its name is %q", v.Name))
		case d.version >= en.newest.version:
			err = errors.Join(err, fmt.Errorf("its version is not below %d", en.newest.version))
		case len(v.Former) > 0:
			err = errors.Join(err, errors.New("it has a Former itself: list all versions in the newest"))
		}
		if en.defs[d.version] != nil {
			err = errors.Join(err, errors.New("there are two of this version"))
		}
		en.defs[d.version] = d
		if i > 0 && err != nil {
			err = fmt.Errorf("former version %d: %w", d.version, err)
		}
		errs = append(errs, err)
	}
	switch st := s.Start; {
	case st.fault != nil:
		errs = append(errs, st.fault)
	case st.decider == nil:
		errs = append(errs, errors.New("Start is missing: make it with StartOn or StartBy"))
	}
	return en, errors.Join(errs...)
}

// checkID holds the id of an instance to the rules for what its stream and its commands are named by.
func checkID(id string) error {
	const most = 120
	if err := eventstore.CheckName("instance", id); err != nil {
		return err
	}
	if len(id) > most {
		return &eventstore.InvalidError{Field: "instance", Reason: fmt.Sprintf("%.40q has %d bytes, more than %d", id, len(id), most)}
	}
	return nil
}

// begin is the first decision on an instance.
func (en *engine[S]) begin(id string, state S, by eventstore.Metadata, at time.Time) (organs.Events, error) {
	data, err := lossless.Encode(&state)
	if err != nil {
		return nil, err
	}
	began := Began{Saga: en.name, Instance: id, Version: en.newest.version, State: data, ReplyTo: by.ReplyTo, Depth: by.Depth}
	if en.newest.deadline > 0 {
		began.Deadline = after(at, en.newest.deadline)
	}
	r := &run[S]{saga: en.name, def: en.newest, now: at}
	if err := evolve.Apply(&r.inst, eventOf(began)); err != nil {
		return nil, err
	}
	r.advance()
	out, err := r.finish()
	return append(organs.Events{began}, out...), err
}

// run begins a decision on an instance.
func (en *engine[S]) run(i instance, at time.Time) (*run[S], error) {
	def := en.defs[i.version]
	if def == nil {
		err := fmt.Errorf("instance %s is of version %d: %w", i.id, i.version, ErrVersion)
		if i.version < en.newest.version {
			err = spine.Park(err)
		}
		return nil, err // of a newer version: its program is about to take over
	}
	return &run[S]{saga: en.name, def: def, inst: i.clone(), now: at}, nil
}

// ErrVersion says that an instance is of a version whose definition the program does not have: Saga.Former is to list it.
var ErrVersion = errors.New("its definition is not known")

// answer decides about what came of an attempt.
func (en *engine[S]) answer(_ string, i instance, ev eventstore.Event) (organs.Events, error) {
	a, ok := addressOf(en.name, ev.Metadata.ReplyTo)
	if !ok || !i.begun() || i.status.Ended() {
		return nil, nil
	}
	r, err := en.run(i, now(ev.Time))
	if err != nil {
		return nil, err
	}
	st := r.def.step(a.step)
	if st == nil {
		return nil, nil
	}
	v, why, fold, settles, err := en.verdictOf(st, a, ev)
	if err != nil {
		return nil, spine.Park(err)
	}
	if !settles || (v == failed || v == held) && earlier(ev, i.steps[a.step].attempt) {
		return nil, nil
	}
	r.settle(a, v, why, fold)
	return r.finish()
}

// earlier reports whether a call that was answered is an earlier attempt than the one that is under way.
func earlier(ev eventstore.Event, attempt int) bool {
	reply, err := eventstore.Decode[answered](ev)
	return err == nil && reply.Attempt > 0 && reply.Attempt != attempt
}

// verdictOf is what an event says of an attempt, if it settles it.
func (en *engine[S]) verdictOf(st *Step[S], a address, ev eventstore.Event) (v verdict, why string, fold func(*S) error, settles bool, err error) {
	if t := ev.Type; t == (spine.Accepted{}).EventType() || t == (spine.Rejected{}).EventType() {
		if !slices.Contains(ev.Tags, spine.CommandTag(a.id())) { // the reply to a command that only follows from the step's
			return v, "", nil, false, nil
		}
	}
	listed := st.outcome(ev.Type)
	if !a.undo && listed != nil {
		fold = func(s *S) error { return listed.fold(s, ev) }
		if ev.Type == (Ended{}).EventType() {
			v, why, fold, err = en.endOf(ev, fold)
			return v, why, fold, true, err
		}
		if !listed.success {
			v, why = refused, ev.Type
		}
		return v, why, fold, true, nil
	}
	switch ev.Type {
	case spine.Accepted{}.EventType():
		return success, "", nil, a.undo && st.Undo.kind != nested || !a.undo && st.Do.kind != nested && len(st.On) == 0, nil
	case spine.Rejected{}.EventType():
		reply, err := eventstore.Decode[spine.Rejected](ev)
		return refused, reply.Reason, nil, true, err
	case answered{}.EventType():
		reply, err := eventstore.Decode[answered](ev)
		switch {
		case reply.Held:
			return held, reply.Why, nil, true, err
		case reply.Failed:
			return failed, reply.Why, nil, true, err
		case reply.Refused:
			return refused, reply.Why, nil, true, err
		}
		return success, "", nil, a.undo || len(st.On) == 0, err
	case Ended{}.EventType():
		if st.action(a.undo).kind == nested && len(st.On) == 0 || a.undo && st.Undo.kind == nested {
			v, why, _, err = en.endOf(ev, nil)
			return v, why, nil, true, err
		}
	}
	return v, "", nil, false, nil
}

// endOf is the verdict of a nested saga.
func (en *engine[S]) endOf(ev eventstore.Event, fold func(*S) error) (verdict, string, func(*S) error, error) {
	end, err := eventstore.Decode[Ended](ev)
	if end.State == Completed {
		return success, "", fold, err
	}
	return refused, fmt.Sprintf("%s %s is %s: %s", end.Saga, end.Instance, end.State, end.Reason), fold, err
}

// awake decides about a timer that has fired.
func (en *engine[S]) awake(_ string, i instance, ev eventstore.Event) (organs.Events, error) {
	w, err := eventstore.Decode[woken](ev)
	if err != nil {
		return nil, spine.Park(err)
	}
	if i.status.Ended() || w.Generation != i.wake.Generation || i.wake.Due.IsZero() {
		return nil, nil
	}
	r, err := en.run(i, now(ev.Time))
	if err != nil {
		return nil, err
	}
	r.woken, r.fired = true, ev.Time
	r.timed()
	return r.finish()
}

// addressed is the key of what came of an attempt: the instance that has made it. What settles nothing is passed over
// before anybody looks at the instance.
func (en *engine[S]) addressed(ev eventstore.Event) ([]string, error) {
	a, ok := addressOf(en.name, ev.Metadata.ReplyTo)
	if !ok {
		return nil, nil
	}
	for _, d := range en.defs {
		st := d.step(a.step)
		if st == nil {
			continue
		}
		if _, _, _, settles, err := en.verdictOf(st, a, ev); settles || err != nil { // what is broken is parked for the instance
			return []string{a.instance}, nil //nolint:nilerr // it fails where it is handled
		}
	}
	return nil, nil
}

// awaked is the key of a timer that has fired: the instance whose it is.
func awaked(saga string) eventstore.Key {
	return func(ev eventstore.Event) ([]string, error) {
		if ev.Stream.Category() != wakes(saga) {
			return nil, nil
		}
		return []string{ev.Stream.ID()}, nil
	}
}

// aggregate is the engine as organs know it.
func (en *engine[S]) aggregate() organs.Aggregate[instance] {
	a := organs.Aggregate[instance]{Category: category(en.name), Evolve: evolve, Policy: en.policy}
	types := map[string]bool{spine.Accepted{}.EventType(): true, spine.Rejected{}.EventType(): true}
	for _, d := range en.defs {
		for id := range d.byID {
			st := d.step(id)
			for _, o := range st.On {
				types[o.typ] = true
			}
			for _, x := range []Action[S]{st.Do, st.Undo} {
				switch x.kind {
				case call:
					types[answered{}.EventType()] = true
				case nested:
					types[Ended{}.EventType()] = true
				}
			}
		}
	}
	a.Decide = organs.Decide[instance]{organs.WhenEvent(woken{}.EventType(), awaked(en.name), en.awake)}
	for _, typ := range slices.Sorted(maps.Keys(types)) {
		a.Decide = append(a.Decide, organs.WhenEvent(typ, en.addressed, en.answer))
	}
	if en.starter.decider != nil {
		a.Decide = append(a.Decide, en.starter.decider(en))
	}
	return a
}

// Attach implements spine.Organ. The consumer is named by the saga: "saga.trip". With it come what makes the saga's calls,
// and the rows that Instances lists, if the backend keeps rows.
func (s Saga[S]) Attach(st *eventstore.Store) (spine.Wiring, error) {
	en, err := s.engine()
	if checkSaga(s.Name) != nil {
		return spine.Wiring{Name: category(s.Name)}, err
	}
	w, fault := en.aggregate().Attach(st)
	if err == nil {
		err = fault
	}
	awaits, sends := map[string]bool{}, map[string]bool{}
	for _, d := range en.defs {
		for id := range d.byID {
			step := d.step(id)
			for _, a := range []Action[S]{step.Do, step.Undo} {
				if a.sends != "" {
					sends[a.sends] = true
				}
				if a.kind == nested {
					awaits[a.sends] = true
				}
			}
		}
	}
	w.Listens = en.supersedes(w.Listens)
	w.Sends, w.Awaits = slices.Sorted(maps.Keys(sends)), slices.Sorted(maps.Keys(awaits))
	if en.calls() {
		w.With = append(w.With, caller[S]{en})
	}
	rows := instancesOf(st, s.Name, nil)
	if _, keeps := st.Backend().(eventstore.RowKeeper); keeps {
		w.With = append(w.With, rows.view())
		w.Begin = func(ctx context.Context) error { return rows.checkVersions(ctx, slices.Sorted(maps.Keys(en.defs))) }
	}
	return w, err
}

// supersedes has a consumer's definition be another one with each version of the saga, though it listens to the same types:
// so programs of an older version, which cannot go on with newer instances, step aside as soon as there is one of a newer. No
// event is of the type that says so.
func (en *engine[S]) supersedes(q eventstore.Query) eventstore.Query {
	if en.newest.version == 1 {
		return q
	}
	return q.Or(eventstore.OfType(fmt.Sprintf("saga %s has version %d", en.name, en.newest.version)))
}

// eventOf is an event as the fold of an instance takes it.
func eventOf(p eventstore.Payload) eventstore.Event {
	ev, err := eventstore.Encode(p)
	if err != nil { // it is of this package, and has no part that JSON refuses
		panic(err)
	}
	return ev
}
