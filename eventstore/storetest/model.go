package storetest

import (
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// model is a log as slices, in the plainest way: what a backend must come to, whatever is asked of it.
type model struct {
	events []eventstore.Event
	timers []modelTimer
	parked []eventstore.Parked
	lanes  []modelLane
	window []modelDelivery
	paused map[string]bool // by consumer
	drives map[string]int  // by consumer: how often Roster.Redrives had to grow
	sent   []sentCommit    // every commit that was accepted
}

type modelTimer struct {
	eventstore.Schedule
	gone bool // fired or cancelled
}

type modelLane struct {
	consumer  string
	partition int
	owner     string
	epoch     int64
	position  eventstore.Position
}

// sentCommit is a commit that was accepted, and what it came to.
type sentCommit struct {
	commit eventstore.Commit
	result eventstore.Result
}

// commit decides a commit: first ids, then fences, then expectations and conditions.
func (m *model) commit(c eventstore.Commit) (eventstore.Result, error) {
	if before, err := m.known(c); before != nil || err != nil {
		if err != nil {
			return eventstore.Result{}, err
		}
		return before.result, nil
	}
	if applied, err := m.fenced(c); applied || err != nil {
		return eventstore.Result{}, err
	}
	for _, a := range c.Appends {
		if !a.Expect.Allows(m.version(a.Stream)) {
			return eventstore.Result{}, eventstore.ErrConflict
		}
	}
	for _, x := range c.Unless {
		for _, e := range m.events {
			if e.Position > x.After && x.Query.Matches(&e) {
				return eventstore.Result{}, eventstore.ErrConflict
			}
		}
	}
	return m.apply(c), nil
}

// known finds the commit that was sent before, or another use of its ids.
func (m *model) known(c eventstore.Commit) (*sentCommit, error) {
	places, timers := placesOf(c), timersOf(c)
	for i := range m.sent {
		s := &m.sent[i].commit
		byEvents := len(places) > 0 && slices.Equal(places, placesOf(*s))
		byTimers := len(places) == 0 && len(timers) > 0 && slices.Equal(timers, timersOf(*s))
		if byEvents && m.made(c) || byTimers {
			return &m.sent[i], nil
		}
	}
	for _, id := range usedBy(c) {
		for i := range m.sent {
			if slices.Contains(usedBy(m.sent[i].commit), id) {
				return nil, eventstore.ErrIDReused
			}
		}
	}
	return nil, nil
}

// made reports whether all checkpoints and schedules of a commit have been made.
func (m *model) made(c eventstore.Commit) bool {
	for _, x := range c.Checkpoints {
		if l := m.lane(x.Consumer, x.Partition); l == nil || l.position < x.To {
			return false
		}
	}
	for _, s := range c.Schedules {
		if !slices.ContainsFunc(m.timers, func(t modelTimer) bool { return t.ID == s.ID }) {
			return false
		}
	}
	return true
}

// placesOf are the streams and ids of a commit's events.
func placesOf(c eventstore.Commit) (list []string) {
	for _, a := range c.Appends {
		for _, e := range a.Events {
			list = append(list, fmt.Sprint(e.ID, " ", a.Stream))
		}
	}
	return list
}

func timersOf(c eventstore.Commit) (ids []uuid.UUID) {
	for _, s := range c.Schedules {
		ids = append(ids, s.ID)
	}
	return ids
}

// usedBy are all ids that a commit uses up.
func usedBy(c eventstore.Commit) (ids []uuid.UUID) {
	for _, a := range c.Appends {
		for _, e := range a.Events {
			ids = append(ids, e.ID)
		}
	}
	for _, s := range c.Schedules {
		ids = append(ids, s.ID)
		for _, e := range s.Append.Events {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

func (m *model) fenced(c eventstore.Commit) (applied bool, err error) {
	moves, done := 0, 0
	for _, x := range c.Checkpoints {
		l := m.lane(x.Consumer, x.Partition)
		if l == nil || l.epoch != x.Epoch {
			return false, eventstore.ErrFenced
		}
		if x.From != x.To {
			moves++
		}
		if x.From != x.To && l.position == x.To {
			done++
		} else if l.position != x.From {
			return false, eventstore.ErrFenced
		}
	}
	if moves > 0 && done == moves && len(c.Appends)+len(c.Schedules) == 0 {
		return true, nil
	}
	if done > 0 {
		return false, eventstore.ErrFenced
	}
	for _, id := range c.Unparks {
		if m.entry(id) < 0 {
			return false, eventstore.ErrFenced
		}
	}
	if !m.holds(c) {
		return false, eventstore.ErrFenced
	}
	return false, nil
}

func (m *model) apply(c eventstore.Commit) eventstore.Result {
	for _, id := range c.Cancels {
		for i := range m.timers {
			if m.timers[i].ID == id {
				m.timers[i].gone = true
			}
		}
	}
	for _, s := range c.Schedules {
		m.timers = append(m.timers, modelTimer{Schedule: s})
	}
	m.park(c)
	m.deliver(c)
	for _, x := range c.Checkpoints {
		m.lane(x.Consumer, x.Partition).position = x.To
	}
	var r eventstore.Result
	for _, a := range c.Appends {
		r.Position = m.append(a)
		r.Versions = append(r.Versions, m.version(a.Stream))
	}
	m.sent = append(m.sent, sentCommit{c, r})
	return r
}

func (m *model) append(a eventstore.Append) eventstore.Position {
	for _, e := range a.Events {
		e.Stream, e.Version, e.Position = a.Stream, m.version(a.Stream)+1, m.head()+1
		m.events = append(m.events, e)
	}
	return m.head()
}

// fire moves what is due into the log, earliest first.
func (m *model) fire(limit int) (fired int) {
	for fired < limit {
		next := -1
		for i, t := range m.timers {
			if !t.gone && t.Due.Before(future(0)) && (next < 0 || t.Due.Before(m.timers[next].Due)) {
				next = i
			}
		}
		if next < 0 {
			break
		}
		m.timers[next].gone = true
		m.append(m.timers[next].Append)
		fired++
	}
	return fired
}

// waiting are the schedules that have neither fired nor been cancelled, earliest first.
func (m *model) waiting() (list []eventstore.Schedule) {
	for _, t := range m.timers {
		if !t.gone {
			list = append(list, t.Schedule)
		}
	}
	slices.SortFunc(list, func(a, b eventstore.Schedule) int { return a.Due.Compare(b.Due) })
	return list
}

func (m *model) head() eventstore.Position { return eventstore.Position(len(m.events)) }

func (m *model) version(s eventstore.Stream) (v eventstore.Version) {
	for _, e := range m.events {
		if e.Stream == s {
			v++
		}
	}
	return v
}

func (m *model) lane(consumer string, partition int) *modelLane {
	for i := range m.lanes {
		if l := &m.lanes[i]; l.consumer == consumer && l.partition == partition {
			return l
		}
	}
	return nil
}

func (m *model) entry(id uuid.UUID) int {
	return slices.IndexFunc(m.parked, func(p eventstore.Parked) bool { return p.ID == id })
}
