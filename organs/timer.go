package organs

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// Timer names a wake-up: an event that the log appends when it is due, unless it is stopped before. Set and
// Stop are items of Events, so what becomes of a timer is one commit with the rest of a decision.
//
// A timer is set once, for ever: to set it anew, stop it and set the next generation. One that has fired
// already cannot be stopped, so its owner keeps the generation that it waits for, and passes over the events of
// any other.
type Timer struct {
	Owner      string // whose it is, such as the name of a stream
	Name       string // what it is for, such as "payment overdue"
	Generation int    // which setting of it
}

// timers is the name space of the ids of the schedules that organs make.
var timers = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/necrostack/necrostack/organs#Timer"))

// ID is the id of the timer's schedule, the same in every process: the UUIDv5 (RFC 9562) of owner, name and
// generation.
func (t Timer) ID() uuid.UUID {
	return uuid.NewSHA1(timers, []byte(t.Owner+"\x00"+t.Name+"\x00"+strconv.Itoa(t.Generation)))
}

// String says which timer it is.
func (t Timer) String() string { return fmt.Sprintf("%q #%d of %s", t.Name, t.Generation, t.Owner) }

func (t Timer) validate() error {
	return errors.Join(eventstore.CheckName("timer: owner", t.Owner), eventstore.CheckName("timer: name", t.Name))
}

// Plan is what At, Set and Stop make: an item of Events that is not appended at once. It is for what handlers
// return; Append and Emit refuse it.
type Plan struct {
	Timer   Timer              // zero for At
	Due     time.Time          // by the store's clock, in microseconds; zero for Stop
	Payload eventstore.Payload // nil for Stop

	verb verb
}

// verb is what a plan is about.
type verb string

const (
	at   verb = "at"
	set  verb = "set"
	stop verb = "stop"
)

// At appends an event when it is due, and not before, whatever has happened by then. It goes where it would
// have gone at once; a due time that has passed means soon. With spine.Post it delays a command.
func At(due time.Time, p eventstore.Payload) eventstore.Payload {
	return Plan{Due: due, Payload: p, verb: at}
}

// Set sets a timer: the event is appended when it is due, unless the timer is stopped before. To set a timer that
// was ever set already is a mistake: the commit fails with eventstore.ErrIDReused, or changes nothing if it
// consists of that alone.
func Set(t Timer, due time.Time, p eventstore.Payload) eventstore.Payload {
	return Plan{Timer: t, Due: due, Payload: p, verb: set}
}

// Stop stops a timer. One that has fired, or was never set, is no error. Once the Stop is committed the timer
// never fires.
func Stop(t Timer) eventstore.Payload { return Plan{Timer: t, verb: stop} }

// EventType is that of the event to come, and empty for Stop.
func (p Plan) EventType() string {
	if p.Payload == nil {
		return ""
	}
	return p.Payload.EventType()
}

// MarshalJSON fails: a plan is no event.
func (p Plan) MarshalJSON() ([]byte, error) {
	return nil, fmt.Errorf("%s is a plan, for the Events that a handler returns", p)
}

// String says what is planned.
func (p Plan) String() string {
	text := string(p.verb)
	if p.verb != at {
		text += " " + p.Timer.String()
	}
	if p.verb == stop {
		return text
	}
	if p.verb == set {
		text += " at"
	}
	return text + " " + p.Due.Format(time.RFC3339Nano) + ": " + show(p.Payload)
}

// show writes a payload in one line.
func show(p eventstore.Payload) string {
	d, ok := p.(eventstore.Draft)
	switch {
	case !ok:
		return fmt.Sprintf("%T%+v", p, p)
	case d.Stream == "":
		return show(d.Payload)
	default:
		return show(d.Payload) + " in " + string(d.Stream)
	}
}

// planOf returns the plan that an item of Events is. What a draft around it says holds for the event to come.
func planOf(p eventstore.Payload) (Plan, bool) {
	switch x := p.(type) {
	case Plan:
		return x, true
	case eventstore.Draft:
		plan, ok := planOf(x.Payload)
		if ok && plan.verb != stop {
			x.Payload = plan.Payload
			plan.Payload = x
		}
		return plan, ok
	default:
		return Plan{}, false
	}
}

// addTo puts the plan into a commit whose events go to a stream unless they name another.
func (p Plan) addTo(c *eventstore.Commit, st *eventstore.Store, to eventstore.Stream) error {
	if p.verb != at {
		if err := p.Timer.validate(); err != nil {
			return err
		}
	}
	id := p.Timer.ID()
	if p.verb == stop {
		c.Schedules = slices.DeleteFunc(c.Schedules, func(s eventstore.Schedule) bool { return s.ID == id }) // set just now
		c.Cancels = append(c.Cancels, id)
		return nil
	}
	if _, again := planOf(p.Payload); again {
		return fmt.Errorf("%s: %w: a plan within a plan", p, eventstore.ErrInvalid)
	}
	e, err := st.Encode(p.Payload)
	if err != nil {
		return err
	}
	if e.Stream == "" {
		e.Stream = to
	}
	if p.verb == at {
		id = uuid.NewSHA1(timers, e.ID[:])
	}
	c.Schedules = append(c.Schedules, eventstore.Schedule{
		ID: id, Due: p.Due, Append: eventstore.Append{Stream: e.Stream, Events: []eventstore.Event{e}},
	})
	return nil
}
