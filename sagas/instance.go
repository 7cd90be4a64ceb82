package sagas

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
)

// instance is what the events of an instance's stream come to.
type instance struct {
	id       string
	version  int
	data     json.RawMessage // what it remembers
	status   State
	before   State // the status that it was suspended in
	reason   string
	replyTo  string
	depth    int // of what has begun it: what a saga does is as deep as its beginning, however many steps and attempts it takes
	deadline time.Time
	cancel   bool // it is being compensated because an operator wanted it
	back     int  // how far it is being compensated: to the savepoint of this node, from 1; 0 for all the way
	tries    map[int]int
	steps    map[string]progress
	timers   map[string]timer
	sent     int         // commands of a Process
	taken    []uuid.UUID // events that a Process has taken up
	wake     Wake
}

// progress is how far a step is.
type progress struct {
	phase   What // "" if it has not begun, or is to begin anew
	undo    bool // it is being undone, or was
	cycle   int
	undos   int // cycles of undoing
	attempt int
	anew    bool
	until   time.Time
	why     string
}

// timer is one that a Process has set.
type timer struct {
	due        time.Time
	generation int // counts how often one of its name was set
	set        bool
}

func (i *instance) begun() bool { return i.version > 0 }

// flying reports whether an attempt at a step has no outcome yet, or is to follow.
func (p progress) flying() bool { return p.phase == Sent || p.phase == Waiting }

// done reports whether nothing keeps what follows the step from beginning.
func (p progress) done() bool { return !p.undo && (p.phase == Succeeded || p.phase == Skipped) }

// undone reports whether there is nothing of the step left.
func (p progress) undone() bool {
	return p.phase == "" || p.phase == Refused && !p.undo || p.undo && (p.phase == Succeeded || p.phase == Skipped)
}

var evolve = organs.Evolve[instance]{
	organs.On(func(i *instance, e Began) {
		*i = instance{id: e.Instance, version: e.Version, data: e.State, status: Running, replyTo: e.ReplyTo, depth: e.Depth, deadline: e.Deadline}
	}),
	organs.On(func(i *instance, e Moved) {
		*i = i.clone()
		for _, m := range e.Moves {
			i.apply(m)
		}
		if e.State != nil {
			i.data = e.State
		}
		if e.Wake != nil {
			i.wake = *e.Wake
		}
	}),
}

// clone copies what apply changes.
func (i *instance) clone() instance {
	c := *i
	c.steps, c.timers, c.tries = maps.Clone(i.steps), maps.Clone(i.timers), maps.Clone(i.tries)
	return c
}

// apply folds one move. It is pure, and knows no definition.
func (i *instance) apply(m Move) {
	switch m.What {
	case Turned:
		i.turn(m)
	case Took:
		i.taken = append(slices.Clip(i.taken), m.ID) // the array may be another state's, too
	case Set, Stopped, Fired:
		if i.timers == nil {
			i.timers = map[string]timer{}
		}
		t := i.timers[m.Step]
		if t.set = m.What == Set; t.set {
			t.due, t.generation = m.Until, t.generation+1
		}
		i.timers[m.Step] = t
	case Sent:
		if m.Cycle == 0 { // of a Process
			i.sent++
			return
		}
		fallthrough
	default:
		if i.steps == nil {
			i.steps = map[string]progress{}
		}
		i.steps[m.Step] = i.steps[m.Step].after(m)
	}
}

// turn folds a change of status.
func (i *instance) turn(m Move) {
	switch {
	case m.To == Suspended:
		i.before = i.status
	case m.To == Compensating && i.status == Running:
		i.back = m.Back
	case m.To == Running && i.status == Compensating: // from a savepoint
		if i.tries == nil {
			i.tries = map[int]int{}
		}
		i.tries[m.Back]++
		for id, p := range i.steps {
			if p.undone() {
				p.phase, p.undo, p.attempt = "", false, 0
				i.steps[id] = p
			}
		}
	}
	if m.To == Compensating && m.By != "" && i.status != Suspended && i.status != UndoStuck {
		i.cancel, i.back = true, 0
	}
	if m.Why != "" && (m.By == "" || m.To == Compensating || m.To == Cancelled) {
		i.reason = m.Why
	}
	i.status = m.To
}

// after is the progress after a move.
func (p progress) after(m Move) progress {
	if m.What == Retried {
		p.attempt = 0
		p.phase, p.anew, p.until = Waiting, m.Anew, time.Time{}
		return p
	}
	p.phase, p.undo, p.attempt, p.anew, p.until, p.why = m.What, m.Undo, m.Attempt, m.Anew, m.Until, m.Why
	if m.What == Sent && m.Undo {
		p.undos = m.Cycle
	} else if m.What == Sent {
		p.cycle = m.Cycle
	}
	return p
}

// stream is that of an instance.
func stream(saga, id string) eventstore.Stream { return eventstore.StreamOf(category(saga), id) }

func category(saga string) string { return "saga." + saga }

// wakes is the category of the streams in which timers of instances fire.
func wakes(saga string) string { return category(saga) + ".wake" }
