package sagas

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/lossless"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// Process is a process manager: it remembers events, and reacts to them with commands and timers. What it remembers, and
// what it wants done, is one commit with the fact that it has taken the event up.
//
// An event that follows from a command of an instance belongs to that instance, unless a reaction to it is made by Start;
// which others do, Key says. One that comes twice is taken up once, and one that comes after the end is passed over.
type Process[S any] struct {
	Name    string         // of 1 … 35 letters, digits and underscores in lower case, with a letter in front
	Version int            // what is remembered with each instance. Defaults to 1
	Key     eventstore.Key // which instances an event belongs to
	Evolve  Evolve[S]      // pure: what is remembered of an event
	React   Reactions[S]   // pure: what is done about it, with the event folded in
	Sends   []spine.Command
	Missing Missing      // what becomes of an event whose instance has not begun. Defaults to MissingIgnore
	Policy  spine.Policy // how events are handled
}

// Evolve is the fold of a process manager.
type Evolve[S any] = eventstore.Fold[S]

// On is eventstore.On: one case of an Evolve.
func On[S any, E eventstore.Payload](fold func(state *S, e E)) eventstore.Folder[S] {
	return eventstore.On(fold)
}

// Missing says what becomes of an event whose instance has not begun, if it is none that begins one.
type Missing int

// The policies for such events.
const (
	MissingIgnore Missing = iota // pass it over
	MissingStart                 // have it begin the instance
	MissingPark                  // set it aside at once: an operator is to decide
	MissingFail                  // fail, and be tried again as the Policy says: the instance may begin meanwhile
)

// ErrMissing is why an event was parked whose instance has not begun.
var ErrMissing = errors.New("its instance has not begun")

// Reactions lists a process manager's handlers.
type Reactions[S any] []Reaction[S]

// Reaction is one of them, made by Start, When or OnTimer.
type Reaction[S any] struct {
	typ, timer string
	starts     bool
	react      func(S, eventstore.Event) (Actions, error)
	fault      error
}

// Start is When for an event that begins an instance. An event without a key is an error, and parked.
func Start[S any, E eventstore.Payload](react func(state S, e E) Actions) Reaction[S] {
	r := When(react)
	r.starts = true
	return r
}

// When reacts to an event; state has it folded in.
func When[S any, E eventstore.Payload](react func(state S, e E) Actions) Reaction[S] {
	name, fault := eventstore.TypeOf[E]()
	if react == nil && fault == nil {
		fault = fmt.Errorf("reaction to %s is nil", name)
	}
	return Reaction[S]{typ: name, fault: fault, react: func(s S, ev eventstore.Event) (Actions, error) {
		e, err := eventstore.Decode[E](ev)
		if err != nil {
			return nil, spine.Park(err)
		}
		return react(s, e), nil
	}}
}

// OnTimer reacts to a timer that is due: never before its time, and once, however long nobody was there to see it.
func OnTimer[S any](name string, react func(state S) Actions) Reaction[S] {
	var fault error
	if err := eventstore.CheckName("timer", name); err != nil {
		fault = err
	} else if react == nil {
		fault = fmt.Errorf("reaction to timer %s is nil", name)
	}
	return Reaction[S]{timer: name, fault: fault, react: func(s S, _ eventstore.Event) (Actions, error) { return react(s), nil }}
}

// Actions is what a reaction wants done, in one commit.
type Actions []Act

// Act is one of them: Send, SetTimer, CancelTimer or Done.
type Act struct {
	send   spine.Command
	set    string
	in     time.Duration
	cancel string
	done   bool
}

// Send sends a command through the log. Its id is made of the instance and of how many it has sent.
func Send(c spine.Command) Act { return Act{send: c} }

// SetTimer sets a timer, or sets it anew; OnTimer reacts to it.
func SetTimer(name string, in time.Duration) Act { return Act{set: name, in: in} }

// CancelTimer stops a timer. One that is not set is no error.
func CancelTimer(name string) Act { return Act{cancel: name} }

// Done ends the instance, when all other actions are done. It has no timers any more, and passes over what comes.
func Done() Act { return Act{done: true} }

// validate reports all faults at once.
func (p Process[S]) validate() error {
	errs := []error{checkSaga(p.Name), checkState[S](), p.Evolve.Validate()}
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if p.Version < 0 {
		fault("Version is %d", p.Version)
	}
	if p.Key == nil {
		fault("Key is missing: it says which instance an event belongs to")
	}
	if p.Missing < MissingIgnore || p.Missing > MissingFail {
		fault("Missing is %d", p.Missing)
	}
	seen, starts := map[string]bool{}, p.Missing == MissingStart
	for i, r := range p.React {
		name := "event " + r.typ
		if r.timer != "" {
			name = "timer " + r.timer
		}
		switch {
		case r.fault != nil:
			errs = append(errs, r.fault)
		case r.react == nil:
			fault("reaction %d is empty: make it with Start, When or OnTimer", i+1)
		case seen[name]:
			fault("two reactions to %s", name)
		}
		seen[name] = true
		starts = starts || r.starts
	}
	if !starts {
		fault("nothing begins an instance: one reaction has to be made by Start")
	}
	return errors.Join(errs...)
}

// key is the instances that an event belongs to.
func (p Process[S]) key(ev eventstore.Event) ([]string, error) {
	begins := p.reaction(ev.Type, "")
	if begins != nil && !begins.starts {
		begins = nil
	}
	if a, ok := addressOf(p.Name, ev.Metadata.ReplyTo); ok && begins == nil {
		return []string{a.instance}, nil
	}
	if t := ev.Type; t == (spine.Accepted{}).EventType() || t == (spine.Rejected{}).EventType() {
		return nil, nil // to somebody else
	}
	keys, err := p.Key(ev)
	if err == nil && len(keys) == 0 && begins != nil {
		return nil, fmt.Errorf("%s begins an instance of %s, and has no key", ev.Type, p.Name)
	}
	return keys, err
}

func (p Process[S]) reaction(typ, timer string) *Reaction[S] {
	i := slices.IndexFunc(p.React, func(r Reaction[S]) bool { return r.typ == typ && r.timer == timer })
	if i < 0 {
		return nil
	}
	return &p.React[i]
}

// take decides about an event on behalf of one instance.
func (p Process[S]) take(id string, i instance, ev eventstore.Event) (out organs.Events, err error) {
	if i.status.Ended() || slices.Contains(i.taken, ev.ID) {
		return nil, nil
	}
	reaction := p.reaction(ev.Type, "")
	if !i.begun() {
		switch {
		case reaction != nil && reaction.starts || p.Missing == MissingStart:
		case p.Missing == MissingIgnore:
			return nil, nil
		case p.Missing == MissingPark:
			return nil, spine.Park(fmt.Errorf("%s for %s: %w", ev.Type, stream(p.Name, id), ErrMissing))
		default:
			return nil, fmt.Errorf("%s for %s: %w", ev.Type, stream(p.Name, id), ErrMissing)
		}
		if err := checkID(id); err != nil {
			return nil, spine.Park(err)
		}
		var zero S
		data, err := lossless.Encode(&zero)
		if err != nil {
			return nil, spine.Park(err)
		}
		began := Began{Saga: p.Name, Instance: id, Version: max(p.Version, 1), State: data, ReplyTo: ev.Metadata.ReplyTo}
		if err := evolve.Apply(&i, eventOf(began)); err != nil {
			return nil, err
		}
		out = append(out, began)
	}
	r := &run[S]{saga: p.Name, inst: i.clone(), now: now(ev.Time)}
	r.do(Move{What: Took, Step: ev.Type, ID: ev.ID})
	switch err := p.Evolve.Apply(r.remembered(), ev); {
	case err == nil:
		r.dirty = true
	case !errors.Is(err, eventstore.ErrUnknownType):
		return nil, spine.Park(err)
	}
	if reaction != nil {
		r.react(reaction, ev)
	}
	more, err := r.finish()
	return append(out, more...), err
}

// awake decides about the instance's timer: it fires those that are due, in their order.
func (p Process[S]) awake(_ string, i instance, ev eventstore.Event) (organs.Events, error) {
	w, err := eventstore.Decode[woken](ev)
	if err != nil {
		return nil, spine.Park(err)
	}
	if i.status.Ended() || w.Generation != i.wake.Generation || i.wake.Due.IsZero() {
		return nil, nil
	}
	r := &run[S]{saga: p.Name, inst: i.clone(), now: now(ev.Time), woken: true, fired: ev.Time}
	r.fire(p)
	return r.finish()
}

// fire has the timers that are due go off.
func (r *run[S]) fire(p Process[S]) {
	due := slices.SortedFunc(maps.Keys(r.inst.timers), func(a, b string) int {
		return cmp.Or(r.inst.timers[a].due.Compare(r.inst.timers[b].due), strings.Compare(a, b))
	})
	for _, name := range due {
		t := r.inst.timers[name] // a reaction may have stopped or set it
		if !t.set || t.due.After(r.clock()) || r.inst.status != Running {
			continue
		}
		r.do(Move{What: Fired, Step: name})
		if reaction := p.reaction("", name); reaction != nil {
			r.react(reaction, eventstore.Event{})
		}
	}
}

// react has a reaction's actions done.
func (r *run[S]) react(reaction *Reaction[S], ev eventstore.Event) {
	acts, err := reaction.react(*r.remembered(), ev)
	if err != nil {
		r.fail(err)
	}
	done := false
	for i, a := range acts {
		switch {
		case a.send != nil:
			to := address{r.saga, r.inst.id, "command", r.inst.sent + 1, false}
			r.do(Move{What: Sent, Step: a.send.CommandType(), ID: to.id()})
			r.out = append(r.out, eventstore.Draft{Payload: spine.Post(spine.WithID(to.id(), a.send)), ReplyTo: to.String()})
		case a.set != "":
			if err := eventstore.CheckName("timer", a.set); err != nil || a.in < 0 {
				r.fail(spine.Park(errors.Join(err, fmt.Errorf("action %d: timer %q is set to %s", i+1, a.set, a.in))))
				return
			}
			r.do(Move{What: Set, Step: a.set, Until: after(r.now, a.in)})
		case a.cancel != "":
			if r.inst.timers[a.cancel].set {
				r.do(Move{What: Stopped, Step: a.cancel})
			}
		case a.done:
			done = true
		default:
			r.fail(spine.Park(fmt.Errorf("action %d is empty: make it with Send, SetTimer, CancelTimer or Done", i+1)))
			return
		}
	}
	if done {
		r.stopTimers()
		r.turn(Completed, "")
	}
}

func (r *run[S]) stopTimers() {
	for _, name := range slices.Sorted(maps.Keys(r.inst.timers)) {
		if r.inst.timers[name].set {
			r.do(Move{What: Stopped, Step: name})
		}
	}
}

// aggregate is the process as organs know it.
func (p Process[S]) aggregate() organs.Aggregate[instance] {
	a := organs.Aggregate[instance]{Category: category(p.Name), Evolve: evolve, Policy: p.Policy, Sends: p.Sends}
	a.Decide = organs.Decide[instance]{organs.WhenEvent(woken{}.EventType(), awaked(p.Name), p.awake)}
	types := map[string]bool{}
	for _, r := range p.React {
		if r.typ != "" {
			types[r.typ] = true
		}
	}
	for _, t := range p.Evolve.Types() {
		types[t] = true
	}
	delete(types, "")
	for _, typ := range slices.Sorted(maps.Keys(types)) {
		a.Decide = append(a.Decide, organs.WhenEvent(typ, p.key, p.take))
	}
	return a
}

// Attach implements spine.Organ. The consumer is named by the process: "saga.review". With it come the rows that Instances
// lists, if the backend keeps rows.
func (p Process[S]) Attach(st *eventstore.Store) (spine.Wiring, error) {
	err := p.validate()
	if checkSaga(p.Name) != nil || p.Key == nil {
		return spine.Wiring{Name: category(p.Name)}, err
	}
	w, fault := p.aggregate().Attach(st)
	if err == nil {
		err = fault
	}
	if _, keeps := st.Backend().(eventstore.RowKeeper); keeps {
		w.With = append(w.With, instancesOf(st, p.Name, nil).view())
	}
	return w, err
}
