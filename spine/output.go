package spine

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// errNotJoined settles an output that could not go into one commit with those before it: it is made again.
var errNotJoined = errors.New("handled again in a commit of its own")

// joined is the outputs of consecutive inputs, as one commit.
type joined struct {
	commit  eventstore.Commit
	chains  map[eventstore.Stream]chain
	entries int  // events, and whatever else has a limit
	bytes   int  // of payloads
	full    bool // the like of what was added last would not fit
	into    eventstore.Pending
	settled []func(eventstore.Result, error)
}

// chain is what the commit appends to one stream: expectations are all about the version before the commit.
type chain struct {
	expect eventstore.Expected
	events int
}

// next is what an output that knows of the chain's events expects; Any if that is unknown.
func (c chain) next() eventstore.Expected {
	least, greatest := c.expect.Bounds()
	if least != greatest {
		return eventstore.Any
	}
	return eventstore.Exact(least + eventstore.Version(c.events))
}

// join adds outputs and reports true, or changes nothing and reports false if they do not fit. With
// optional false they have to fit: there is nothing before them to commit first.
func (j *joined) join(group []Output, optional bool) bool {
	n, size, conditions := 0, 0, 0
	for i := range group {
		c := &group[i].Commit
		n += len(c.Schedules) + len(c.Cancels) + len(c.Unparks)
		for k := range c.Appends {
			n += len(c.Appends[k].Events)
			for _, e := range c.Appends[k].Events {
				size += len(e.Data)
			}
			if optional && !j.fits(&c.Appends[k]) {
				return false
			}
		}
		if optional && j.cancels(c) { // a commit makes its schedules after it has cancelled what it cancels
			return false
		}
		conditions += len(c.Unless)
		for _, x := range c.Unless { // they are about the log before the commit, and what is in it already
			if optional && j.breaks(x.Query) {
				return false
			}
		}
	}
	if optional && len(j.commit.Unless)+conditions > batchUnless {
		return false
	}
	if optional && (j.entries+n > batchEntries || j.bytes+size > batchBytes) {
		return false
	}
	j.entries, j.bytes = j.entries+n, j.bytes+size
	j.full = j.entries+n > batchEntries || j.bytes+size > batchBytes
	for i := range group {
		j.add(&group[i])
	}
	return true
}

// breaks reports whether the commit has an event that a query selects.
func (j *joined) breaks(q eventstore.Query) bool {
	for i := range j.commit.Appends {
		a := &j.commit.Appends[i]
		for k := range a.Events {
			e := a.Events[k]
			e.Stream = a.Stream
			if q.Matches(&e) {
				return true
			}
		}
	}
	return false
}

// cancels reports whether an output calls off a schedule that is in the commit.
func (j *joined) cancels(c *eventstore.Commit) bool {
	return slices.ContainsFunc(j.commit.Schedules, func(s eventstore.Schedule) bool { return slices.Contains(c.Cancels, s.ID) })
}

// fits reports whether an append may follow what is in the commit already.
func (j *joined) fits(a *eventstore.Append) bool {
	c, there := j.chains[a.Stream]
	return !there || a.Expect == eventstore.Any || a.Expect == c.next()
}

// add takes an output in. Its events keep their order, also between streams.
func (j *joined) add(out *Output) {
	c := &out.Commit
	if j.chains == nil {
		j.chains = map[eventstore.Stream]chain{}
	}
	for _, a := range c.Appends {
		of, there := j.chains[a.Stream]
		if !there {
			of.expect = a.Expect
			j.chains[a.Stream] = of
		}
		if a.Expect == of.next() {
			a.Expect = of.expect
		}
		if n := len(j.commit.Appends) - 1; n >= 0 && j.commit.Appends[n].Stream == a.Stream &&
			(a.Expect == eventstore.Any || a.Expect == j.commit.Appends[n].Expect) {
			j.commit.Appends[n].Events = append(j.commit.Appends[n].Events, a.Events...)
			continue
		}
		j.commit.Appends = append(j.commit.Appends, a)
	}
	for _, a := range c.Appends { // counted last: the appends of one output all know of the same events
		of := j.chains[a.Stream]
		of.events += len(a.Events)
		j.chains[a.Stream] = of
	}
	j.commit.Unless = append(j.commit.Unless, c.Unless...)
	j.commit.Unparks = append(j.commit.Unparks, c.Unparks...)
	j.commit.Schedules = append(j.commit.Schedules, c.Schedules...)
	j.commit.Cancels = append(j.commit.Cancels, c.Cancels...)
	if out.Into != nil {
		j.into = out.Into
	}
	if out.Settled != nil {
		j.settled = append(j.settled, out.Settled)
		out.Settled = nil
	}
}

// settle tells all who made a part of it what became of it.
func (j *joined) settle(r eventstore.Result, err error) {
	for _, f := range j.settled {
		f(r, err)
	}
	j.settled = nil
}

// ids of the events that a commit appends.
func ids(c *eventstore.Commit) (ids []uuid.UUID) {
	for i := range c.Appends {
		for k := range c.Appends[i].Events {
			ids = append(ids, c.Appends[i].Events[k].ID)
		}
	}
	return ids
}

// follow sets the metadata of events that a command led to.
func follow(c *eventstore.Commit, in *Request) {
	from := in.Metadata
	from.Causation, from.Depth = in.ID, from.Depth+1
	inherit(c, &from)
}

// inherit sets what events, those to be scheduled too, owe to what they follow from.
func inherit(c *eventstore.Commit, from *eventstore.Metadata) {
	set := func(a *eventstore.Append) {
		for i := range a.Events {
			if m := &a.Events[i].Metadata; m.Causation == uuid.Nil {
				own := *m
				*m = *from
				m.Schema, m.User = own.Schema, own.User
				if own.ReplyTo != "" {
					m.ReplyTo = own.ReplyTo
				}
				if own.Depth > 0 {
					m.Depth = own.Depth
				}
			}
		}
	}
	for i := range c.Appends {
		set(&c.Appends[i])
	}
	for i := range c.Schedules {
		s := &c.Schedules[i]
		set(&s.Append)
		if time.Until(s.Due) >= freshAfter { // it waits: no runaway
			for k := range s.Append.Events {
				s.Append.Events[k].Metadata.Depth = 0
			}
		}
	}
}

// freshAfter is how long an append must wait in the schedule to begin at depth 0.
const freshAfter = time.Second

// check refuses what an organ must leave to the Spine.
func (o *Output) check() error {
	c := &o.Commit
	if len(c.Checkpoints)+len(c.Parks)+len(c.Deliveries)+len(c.Acks)+len(c.Returns) > 0 {
		return fmt.Errorf("%w: an output has checkpoints, deliveries or parked events, which are the Spine's", eventstore.ErrInvalid)
	}
	return nil
}
