package sagatest

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/sagas"
)

// instance is what the log says of one, taken down without the engine's help.
type instance struct {
	stream  eventstore.Stream
	began   int
	ended   int
	process bool // it takes events up, and has no steps
	state   sagas.State
	pivoted bool
	replyTo string
	wake    sagas.Wake
	steps   map[string]*step
	timers  map[string]time.Time // of a process: when they are due
}

// step is how far a step is.
type step struct {
	done   bool // there is something to undo: it succeeded, or nobody knows
	flying bool
	undone int // since it was last done
	nested bool
	waits  time.Time // before that it is not to be sent again
}

func (i *instance) begin(e sagas.Began, b *books) {
	if i.began++; i.began > 1 {
		b.fault("%s began %d times", i.stream, i.began)
	}
	i.state, i.replyTo = sagas.Running, e.ReplyTo
}

func (i *instance) move(e sagas.Moved, at time.Time, b *books) {
	if i.ended > 0 {
		b.fault("%s moved after its end: %+v", i.stream, e.Moves)
	}
	if e.Wake != nil {
		i.wake = *e.Wake
	}
	for _, m := range e.Moves {
		switch m.What {
		case sagas.Turned:
			i.turn(m, b)
		case sagas.Set:
			i.process, i.timers[m.Step] = true, m.Until
		case sagas.Fired:
			if due := i.timers[m.Step]; at.Before(due) {
				b.fault("%s: timer %s has fired %s early", i.stream, m.Step, due.Sub(at))
			}
		case sagas.Took, sagas.Stopped:
			i.process = true
		case sagas.Sent:
			if m.Cycle == 0 {
				i.process = true
				continue
			}
			if s := i.steps[m.Step]; s != nil && at.Before(s.waits) {
				b.fault("%s: step %s is tried again %s early", i.stream, m.Step, s.waits.Sub(at))
			}
			i.attempt(m, b)
		default:
			i.attempt(m, b)
		}
	}
}

// turn notes another state.
func (i *instance) turn(m sagas.Move, b *books) {
	if i.pivoted && (m.To == sagas.Compensating || m.To == sagas.Compensated) {
		b.fault("%s is %s after its pivot", i.stream, m.To)
	}
	if m.To == sagas.Running && i.state == sagas.Compensating { // from a savepoint, all is to be done anew
		for _, s := range i.steps {
			if s.undone > 0 {
				*s = step{}
			}
		}
	}
	i.pivoted = i.pivoted || m.To == sagas.ForwardOnly
	i.state = m.To
}

// attempt notes what has become of a step, or of its undoing.
func (i *instance) attempt(m sagas.Move, b *books) {
	s := i.steps[m.Step]
	if s == nil {
		s = &step{}
		i.steps[m.Step] = s
	}
	if m.Undo && i.pivoted {
		b.fault("%s: the undoing of step %s is %s after the pivot", i.stream, m.Step, m.What)
	}
	s.flying = m.What == sagas.Sent || m.What == sagas.Waiting || m.What == sagas.Retried
	if s.waits = (time.Time{}); m.What == sagas.Waiting {
		s.waits = m.Until.Truncate(time.Microsecond) // what the log has of the present
	}
	s.nested = m.What == sagas.Sent && m.Until.IsZero()
	switch m.What {
	case sagas.Succeeded, sagas.Skipped:
		if !m.Undo {
			s.done, s.undone = true, 0
			return
		}
		if s.undone++; s.undone > 1 || !s.done {
			b.fault("%s: step %s was undone %d times, and there was %v to undo", i.stream, m.Step, s.undone, s.done)
		}
	case sagas.Unknown:
		if !m.Undo {
			s.done, s.undone = true, 0
		}
	case sagas.Refused:
		if !m.Undo {
			s.done, s.undone = false, 0
		}
	}
}

// check wants what must hold of the instance as it stands.
func (i *instance) check(b *books, rest bool) {
	if i.began == 0 || i.ended > 1 || i.ended == 1 && !i.state.Ended() {
		b.fault("%s began %d times, ended %d times, and is %s", i.stream, i.began, i.ended, i.state)
	}
	if i.state.Ended() && i.ended == 0 {
		b.fault("%s is %s, and its end is not in the log", i.stream, i.state)
	}
	if (i.state == sagas.Compensated || i.state == sagas.Cancelled) && !i.process {
		for _, id := range slices.Sorted(maps.Keys(i.steps)) {
			switch s := i.steps[id]; {
			case s.flying:
				b.fault("%s is %s while step %s is under way", i.stream, i.state, id)
			case s.done && s.undone != 1:
				b.fault("%s is %s, and step %s was undone %d times", i.stream, i.state, id, s.undone)
			}
		}
	}
	if !i.state.Ended() && !i.state.Stuck() {
		i.checkWake(b, rest)
	}
}

// checkWake wants something that will wake the instance.
func (i *instance) checkWake(b *books, rest bool) {
	wakes, _ := strings.CutPrefix(string(i.stream), i.stream.Category())
	key := wakeKeyOf(eventstore.Stream(i.stream.Category()+".wake"+wakes), i.wake.Generation)
	set := !i.wake.Due.IsZero()
	switch {
	case set && (b.pending[key] || b.wakes[key] && !rest):
		return
	case set:
		b.fault("%s is %s, and its timer #%d, due %s, is lost", i.stream, i.state, i.wake.Generation, i.wake.Due)
	case i.process: // it waits for events
	case !i.waitsForAnother(b, rest):
		b.fault("%s is %s, and nothing will wake it", i.stream, i.state)
	}
}

// waitsForAnother reports whether a nested saga is under way, whose end will come. Before all is at rest, the command that
// begins it may be, or its end.
func (i *instance) waitsForAnother(b *books, rest bool) bool {
	for id, s := range i.steps {
		if !s.flying || !s.nested {
			continue
		}
		to, begun, ended := string(i.stream)+"/"+id+"/", false, false
		for _, other := range b.instances {
			if strings.HasPrefix(other.replyTo, to) {
				begun, ended = true, ended || other.ended > 0
			}
		}
		if !rest || begun && !ended {
			return true
		}
	}
	return false
}
