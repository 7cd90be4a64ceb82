package sagas

import (
	"errors"
	"fmt"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// Saga runs steps in order and, when one is refused, undoes those before it in reverse.
type Saga[S any] struct {
	Name     string        // of 1 … 35 letters, digits and underscores in lower case, with a letter in front
	Version  int           // to be raised when Steps change; instances end under the version they began with. Defaults to 1
	Start    Starter[S]    // what begins an instance
	Steps    Sequence[S]   // what it does
	Deadline time.Duration // after which what has not come to its pivot is undone. Defaults to none
	Former   []Saga[S]     // the definitions of lower versions, as long as instances of them live
	Policy   spine.Policy  // how what concerns an instance is handled
}

// Starter says what begins an instance, under which id, with what state. It is made by StartOn and StartBy.
type Starter[S any] struct {
	event, command string
	fault          error
	decider        func(en *engine[S]) organs.Decider[instance]
}

// StartOn begins an instance with an event. The same id again is the same instance, which begins once. An event without
// an id is an error, and parked.
func StartOn[S any, E eventstore.Payload](begin func(e E) (id string, state S)) Starter[S] {
	name, fault := eventstore.TypeOf[E]()
	if begin == nil && fault == nil {
		fault = fmt.Errorf("start on %s is nil", name)
	}
	return Starter[S]{event: name, fault: fault, decider: func(en *engine[S]) organs.Decider[instance] {
		key := func(ev eventstore.Event) ([]string, error) {
			e, err := eventstore.Decode[E](ev)
			if err != nil {
				return nil, err
			}
			id, _ := begin(e)
			if err := checkID(id); err != nil {
				return nil, fmt.Errorf("instance that begins with %s: %w", name, err)
			}
			return []string{id}, nil
		}
		return organs.WhenEvent(name, key, func(id string, i instance, ev eventstore.Event) (organs.Events, error) {
			if i.begun() {
				return nil, nil
			}
			e, err := eventstore.Decode[E](ev)
			if err != nil {
				return nil, spine.Park(err)
			}
			_, state := begin(e)
			return en.begin(id, state, ev.Metadata, now(ev.Time))
		})
	}}
}

// StartBy begins an instance with a command; its StreamID is the instance's id. A second command for an id is refused, and
// so is one that begin returns an error for.
func StartBy[S any, C spine.Command](begin func(c C) (S, error)) Starter[S] {
	name, fault := spine.TypeOf[C]()
	if begin == nil && fault == nil {
		fault = fmt.Errorf("start by %s is nil", name)
	}
	return Starter[S]{command: name, fault: fault, decider: func(en *engine[S]) organs.Decider[instance] {
		return organs.Handle(func(i instance, r spine.Received[C]) (organs.Events, error) {
			id := r.Command.StreamID()
			if i.begun() {
				return nil, fmt.Errorf("%s %s: %w", en.name, id, ErrBegun)
			}
			if err := checkID(id); err != nil {
				return nil, err
			}
			state, err := begin(r.Command)
			if err != nil {
				return nil, err
			}
			return en.begin(id, state, r.Metadata, now(r.Time))
		})
	}}
}

// Sequence is done node by node: Step, Parallel, Pivot, Savepoint.
type Sequence[S any] []Node[S]

// Node is a part of a Sequence.
type Node[S any] interface {
	steps() []Step[S]
}

// Step is one action and how to undo it.
type Step[S any] struct {
	ID        string        // of 1 … 60 letters, digits, '.', '_' and '-'; unique in its saga
	Do        Action[S]     // what it does
	Undo      Action[S]     // what undoes it, also if it is not known whether it was done. Defaults to nothing
	On        Outcomes[S]   // what settles Do. Defaults to its reply: accepted is success, rejected is refusal
	Timeout   time.Duration // then the outcome of an attempt is unknown. Defaults to 30 s; without end for Nested
	Retry     Retry         // how often Do is tried. Defaults to 3 attempts, and from the pivot on to no end of them
	UndoRetry Retry         // how often Undo is tried. Defaults to 10 attempts
}

// Pivot is the step after which there is no way back: until it has succeeded the saga can be undone, and never after
// that. A pivot whose outcome is unknown is tried again, never taken for failed.
type Pivot[S any] Step[S]

// Parallel steps are done, and undone, at once.
type Parallel[S any] []Step[S]

// Savepoint is as far back as a refusal of a later step undoes. From there the saga goes forward again, as often as Retry
// says, before it undoes all. Retry.Attempts must be set.
type Savepoint[S any] struct{ Retry Retry }

func (s Step[S]) steps() []Step[S]     { return []Step[S]{s} }
func (p Pivot[S]) steps() []Step[S]    { return []Step[S]{Step[S](p)} }
func (p Parallel[S]) steps() []Step[S] { return p }
func (Savepoint[S]) steps() []Step[S]  { return nil }

// Outcomes lists the events that settle a step. If it is not empty, one of them has to be a Success, and an accepted
// command alone settles nothing. A rejected command is a refusal in any case.
type Outcomes[S any] []Outcome[S]

// Outcome is one of them, made by Success or Refusal.
type Outcome[S any] struct {
	typ     string
	success bool
	fold    func(*S, eventstore.Event) error
	fault   error
}

// Success settles a step, and keeps what the event brings. The event may come from any organ, as long as it follows
// from the step's action.
func Success[S any, E eventstore.Payload](fold func(state *S, e E)) Outcome[S] {
	return outcome(true, fold)
}

// Refusal turns the saga back, and keeps what the event brings.
func Refusal[S any, E eventstore.Payload](fold func(state *S, e E)) Outcome[S] {
	return outcome(false, fold)
}

func outcome[S any, E eventstore.Payload](success bool, fold func(state *S, e E)) Outcome[S] {
	name, fault := eventstore.TypeOf[E]()
	if fold == nil && fault == nil {
		fault = fmt.Errorf("outcome %s is nil", name)
	}
	return Outcome[S]{name, success, func(s *S, ev eventstore.Event) error {
		e, err := eventstore.Decode[E](ev)
		if err == nil {
			fold(s, e)
		}
		return err
	}, fault}
}

// Retry says how often something is tried, and how long it waits before the next time: the time doubles from Base to Most,
// each between half and all of that.
type Retry struct {
	Attempts int           // in all; negative: no end of them. The default depends on what is tried
	Base     time.Duration // before the second attempt. Defaults to 1 s
	Most     time.Duration // Defaults to 5 min
}

// Validate reports all faults at once.
func (r Retry) Validate() error {
	var errs []error
	if r.Base < 0 {
		errs = append(errs, fmt.Errorf("the base is %s", r.Base))
	}
	if r.Most < 0 || r.Most > 0 && r.Most < r.Base {
		errs = append(errs, fmt.Errorf("at most it waits %s, and at first %s", r.Most, r.Base))
	}
	return errors.Join(errs...)
}

// ErrBegun is why a command that begins an instance is refused: there is one of that id.
var ErrBegun = errors.New("has begun already")

// now is the time by which deadlines are set: that of the store's clock as far as it is known, and not before what
// is handled, which may have waited.
func now(of time.Time) time.Time {
	if t := time.Now().UTC(); t.After(of) {
		return t.Truncate(time.Microsecond)
	}
	return of
}
