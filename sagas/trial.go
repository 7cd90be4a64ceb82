package sagas

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/lossless"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// Definition is a Saga or a Process.
type Definition[S any] interface {
	spine.Organ

	// Try begins a trial of one instance.
	Try() (*Trial[S], error)
}

// Trial is one instance by itself: the engine without a store, on a clock that only Pass moves. Package sagatest is made of
// it. It is for one goroutine.
type Trial[S any] struct {
	en      *engine[S]  // nil of a Process
	process *Process[S] // nil of a Saga
	inst    instance
	began   []eventstore.Event
	clock   time.Time
	wake    *organs.Plan
	sent    map[string]string // of a Process: where the reply to the last command of a type goes
}

// Effects is what an instance sends at one time.
type Effects struct {
	Commands []spine.Command
	Calls    []string // the steps whose calls are to be made, an undoing with "undo " before it
}

// Wait is what an instance waits for until a time.
type Wait struct {
	In     time.Duration // from now
	Spread bool          // it is any time between half of what the Retry says and all of that
}

// epoch is when trials begin: later than any clock, for an instance never lives before what it is told of was written.
var epoch = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// Try implements Definition.
func (s Saga[S]) Try() (*Trial[S], error) {
	en, err := s.engine()
	if err != nil {
		return nil, fmt.Errorf("try saga %s: %w", s.Name, err)
	}
	return &Trial[S]{en: en, clock: epoch}, nil
}

// Try implements Definition.
func (p Process[S]) Try() (*Trial[S], error) {
	if err := p.validate(); err != nil {
		return nil, fmt.Errorf("try process %s: %w", p.Name, err)
	}
	return &Trial[S]{process: &p, clock: epoch, sent: map[string]string{}}, nil
}

// Send has a command come that begins an instance.
func (t *Trial[S]) Send(c spine.Command) (Effects, error) {
	if t.en == nil || t.en.starter.command != c.CommandType() {
		return Effects{}, fmt.Errorf("%s begins no instance", c.CommandType())
	}
	return t.start(spine.Request{Command: c, ID: uuid.Must(uuid.NewV7()), Time: t.clock})
}

// start has something come that begins an instance of a saga.
func (t *Trial[S]) start(on any) (Effects, error) {
	a := organs.Aggregate[instance]{
		Category: category(t.en.name), Evolve: evolve, Decide: organs.Decide[instance]{t.en.starter.decider(t.en)},
	}
	_, out, err := a.Try(t.began, on)
	return t.follow(out, err)
}

// Take has an event come: of a Saga, one that begins it, or that one step waits for; of a Process, one that its Key says
// belongs to the instance.
func (t *Trial[S]) Take(e eventstore.Payload) (Effects, error) {
	ev, err := t.event(e)
	if err != nil {
		return Effects{}, err
	}
	if t.process != nil {
		return t.taken(ev)
	}
	var awaiting, late []string
	for _, n := range t.begunNodes() {
		for i := range n.steps {
			st, p := &n.steps[i], t.inst.steps[n.steps[i].ID]
			_, _, _, settles, err := t.en.verdictOf(st, t.address(st.ID, false), ev)
			switch open := p.flying() || p.phase == Stuck || p.phase == Unknown; {
			case err != nil:
				return Effects{}, err
			case p.undo || !open || !settles:
			case p.phase == Sent:
				awaiting = append(awaiting, st.ID)
			default:
				late = append(late, st.ID)
			}
		}
	}
	if len(awaiting) == 0 {
		awaiting = late
	}
	switch {
	case len(awaiting) == 1:
		return t.deliver(t.address(awaiting[0], false), e)
	case len(awaiting) > 1:
		return Effects{}, fmt.Errorf("%s is awaited by %q: say by which step it is to be taken", ev.Type, awaiting)
	case t.en.starter.event == ev.Type:
		return t.start(ev)
	}
	return Effects{}, fmt.Errorf("no step waits for %s%s", ev.Type, t.waiting())
}

// taken has an event come to a process.
func (t *Trial[S]) taken(ev eventstore.Event) (Effects, error) {
	if t.process.reaction(ev.Type, "") == nil && !slices.Contains(t.process.Evolve.Types(), ev.Type) {
		return Effects{}, fmt.Errorf("%s neither folds %s nor reacts to it", t.process.Name, ev.Type)
	}
	keys, err := t.process.key(ev)
	switch {
	case err != nil:
		return Effects{}, err
	case len(keys) == 0:
		return Effects{}, fmt.Errorf("%s belongs to no instance: it has no key", ev.Type)
	case t.inst.begun() && !slices.Contains(keys, t.inst.id):
		return Effects{}, fmt.Errorf("%s belongs to %q, and not to %q", ev.Type, keys, t.inst.id)
	case t.inst.begun():
		keys[0] = t.inst.id
	}
	if err := eventstore.CheckName("instance", keys[0]); err != nil {
		return Effects{}, err
	}
	out, err := t.process.take(keys[0], t.inst, ev)
	return t.follow(out, err)
}

// Operate does what an operator does with a method of Instances: retry, skip a step, cancel, suspend, resume.
func (t *Trial[S]) Operate(verb, step string) (out Effects, err error) {
	o := operation{id: t.inst.id, verb: verb, step: step, by: By{"operator", "a test"}}
	var follows organs.Events
	switch {
	case !t.inst.begun():
		err = ErrNoInstance
	case t.process != nil:
		follows, err = t.process.operate(t.inst, o, t.clock)
	default:
		follows, err = t.en.operate(t.inst, o, t.clock)
	}
	return t.follow(follows, err)
}

// Pass lets time pass. What falls due is done in its order.
func (t *Trial[S]) Pass(d time.Duration) (all Effects, err error) {
	const most = 100_000
	end := t.clock.Add(d)
	for n := 0; t.wake != nil && !t.wake.Due.Truncate(time.Microsecond).After(end); n++ {
		if n == most {
			return all, fmt.Errorf("the instance was woken %d times within %s", n, d)
		}
		t.clock = latest(t.clock, t.wake.Due.Truncate(time.Microsecond)) // as the log has it
		ev, err := t.event(t.wake.Payload)
		if err != nil {
			return all, err
		}
		t.wake = nil
		var out organs.Events
		if t.process != nil {
			out, err = t.process.awake(t.inst.id, t.inst, ev)
		} else {
			out, err = t.en.awake(t.inst.id, t.inst, ev)
		}
		now, err := t.follow(out, err)
		all.Commands, all.Calls = append(all.Commands, now.Commands...), append(all.Calls, now.Calls...)
		if err != nil {
			return all, err
		}
	}
	t.clock = end
	return all, nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Remembers returns what the instance remembers.
func (t *Trial[S]) Remembers() (s S, err error) {
	if !t.inst.begun() {
		return s, ErrNoInstance
	}
	return lossless.Decode[S](t.inst.data)
}

// State returns the instance's state, "" if it has not begun, and why it turned back or is stuck.
func (t *Trial[S]) State() (s State, reason string) { return t.inst.status, t.inst.reason }

// Waits returns what the instance waits for until a time: the timers of a Process; of a Saga its steps, an undoing with
// "undo " before it, and "deadline".
func (t *Trial[S]) Waits() map[string]Wait {
	waits := map[string]Wait{}
	for name, x := range t.inst.timers {
		if x.set {
			waits[name] = Wait{In: x.due.Sub(t.clock)}
		}
	}
	for id, p := range t.inst.steps {
		if p.undo {
			id = "undo " + id
		}
		if p.flying() && !p.until.IsZero() {
			waits[id] = Wait{p.until.Sub(t.clock), p.phase == Waiting}
		}
	}
	if t.inst.status == Running && !t.inst.deadline.IsZero() {
		waits["deadline"] = Wait{In: t.inst.deadline.Sub(t.clock)}
	}
	return waits
}

// begunNodes are those of the instance's definition.
func (t *Trial[S]) begunNodes() []node[S] {
	if !t.inst.begun() {
		return nil
	}
	return t.en.defs[t.inst.version].nodes
}

// waiting says what the instance waits for, for errors.
func (t *Trial[S]) waiting() string {
	if !t.inst.begun() {
		return ": the instance has not begun"
	}
	var open []string
	for _, n := range t.begunNodes() {
		for i := range n.steps {
			if p := t.inst.steps[n.steps[i].ID]; p.flying() {
				open = append(open, n.steps[i].ID)
			}
		}
	}
	return fmt.Sprintf(": the instance is %s, and under way are %q", t.inst.status, open)
}

// event is a payload as it comes from the log.
func (t *Trial[S]) event(p eventstore.Payload) (eventstore.Event, error) {
	ev, err := eventstore.Encode(p)
	if ev.Stream == "" {
		ev.Stream = eventstore.StreamOf(ev.Type, ev.ID.String())
	}
	ev.Time = t.clock
	return ev, err
}

// follow brings the instance up to what was decided, and says what it sends.
func (t *Trial[S]) follow(out organs.Events, err error) (all Effects, _ error) {
	if err != nil {
		return all, err
	}
	for _, p := range out {
		if plan, ok := p.(organs.Plan); ok {
			t.wake = nil
			if plan.Payload != nil {
				t.wake = &plan
			}
			continue
		}
		d, _ := p.(eventstore.Draft)
		if c, _, ok := spine.Posted(p); ok {
			all.Commands = append(all.Commands, c)
			if t.sent != nil {
				t.sent[c.CommandType()] = d.ReplyTo
			}
			continue
		}
		switch x := p.(type) {
		case Began:
			t.began = []eventstore.Event{eventOf(x)}
			err = evolve.Apply(&t.inst, t.began[0])
		case Moved:
			err = evolve.Apply(&t.inst, eventOf(x))
		}
		if q, ok := d.Payload.(requested); ok {
			name := q.Step
			if q.Undo {
				name = "undo " + name
			}
			all.Calls = append(all.Calls, name)
		}
		if err != nil {
			return all, err
		}
	}
	return all, nil
}
