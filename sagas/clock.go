package sagas

import (
	"fmt"
	"slices"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
)

// after is the time that is so much later, in microseconds as the log has it, and not earlier: a time that the log cannot
// have would never have come when its timer fires, and the timer be set again and again.
func after(t time.Time, d time.Duration) time.Time {
	if d > 0 && d%time.Microsecond > 0 {
		d = d.Truncate(time.Microsecond) + time.Microsecond
	}
	return t.Add(d)
}

// timed does what is due.
func (r *run[S]) timed() {
	if s := r.inst.status; s == Suspended || s.Ended() {
		return
	}
	clock := r.clock()
	for n := range r.def.nodes {
		for i := range r.def.nodes[n].steps {
			st := &r.def.nodes[n].steps[i]
			p := r.inst.steps[st.ID]
			if !p.flying() || p.until.IsZero() && p.phase == Sent || p.until.After(clock) {
				continue
			}
			cycle := p.cycle
			if p.undo {
				cycle = p.undos
			}
			switch {
			case p.phase == Sent:
				why := fmt.Sprintf("no outcome within %s", st.timeout(p.undo))
				r.settle(address{r.saga, r.inst.id, st.ID, cycle, p.undo}, failed, why, nil)
			case p.undo || r.inst.status == Running || r.inst.status == ForwardOnly || r.inst.status == ForwardStuck:
				r.send(st, p.undo)
			}
		}
	}
	if r.late() {
		r.turnLate()
	}
	r.advance()
}

// turnLate has all that was done undone.
func (r *run[S]) turnLate() {
	r.do(Move{What: Turned, To: Compensating, Why: fmt.Sprintf("not done within %s", r.def.deadline)})
}

// clock is the time by which it is told what is due.
func (r *run[S]) clock() time.Time {
	if r.woken {
		return r.fired
	}
	return r.now
}

// late reports whether the deadline has come before the pivot has begun.
func (r *run[S]) late() bool {
	if r.inst.status != Running || r.inst.deadline.IsZero() || r.inst.deadline.After(r.clock()) {
		return false
	}
	return !r.pivoting()
}

// pivoting reports whether the pivot is under way. One that waits behind a savepoint has not begun.
func (r *run[S]) pivoting() bool {
	if r.def.pivot < 0 {
		return false
	}
	p := r.inst.steps[r.def.nodes[r.def.pivot].steps[0].ID]
	return p.flying() && !p.anew || p.phase == Stuck
}

// due is when the instance is to be woken; zero for never.
func (r *run[S]) due() (first time.Time) {
	earlier := func(t time.Time) {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	if s := r.inst.status; s == Suspended || s.Ended() {
		return first
	}
	for _, p := range r.inst.steps {
		if p.flying() {
			earlier(p.until)
		}
	}
	for _, t := range r.inst.timers {
		if t.set {
			earlier(t.due)
		}
	}
	if r.inst.status == Running && r.def != nil && !r.pivoting() {
		earlier(r.inst.deadline)
	}
	return first
}

// roundUp gives a time the resolution that the log keeps, so that no timer fires before what it is for is due: it would be
// set again and again until the microsecond is over.
func roundUp(t time.Time) time.Time {
	if down := t.Truncate(time.Microsecond); down.Before(t) {
		return down.Add(time.Microsecond)
	}
	return t
}

// finish returns what follows from the decision. The instance has one timer: it is set anew only if it would come too
// late, and when it comes too early it is set again, so that going on in time costs nothing.
func (r *run[S]) finish() (organs.Events, error) {
	if r.err != nil {
		return nil, r.err
	}
	moved := Moved{Saga: r.saga, Instance: r.inst.id, Moves: r.moves}
	if r.dirty {
		moved.State = r.encoded()
		r.inst.data = moved.State
	}
	timer := organs.Timer{Owner: string(stream(r.saga, r.inst.id)), Name: "wake", Generation: r.inst.wake.Generation}
	pending := !r.inst.wake.Due.IsZero() && !r.woken
	due := roundUp(r.due())
	var plans organs.Events
	if pending && (due.IsZero() || due.Before(r.inst.wake.Due)) {
		plans = append(plans, organs.Stop(timer))
		pending = false
		moved.Wake = &Wake{Generation: timer.Generation}
	}
	if !pending && !due.IsZero() {
		timer.Generation++
		wake := woken{Generation: timer.Generation}
		d := eventstore.In(eventstore.StreamOf(wakes(r.saga), r.inst.id), wake)
		if r.def != nil { // a Process may go in circles
			d.Depth = r.inst.depth + 1
		}
		plans = append(plans, organs.Set(timer, due, d))
		moved.Wake = &Wake{Generation: timer.Generation, Due: due}
	} else if r.woken {
		moved.Wake = &Wake{Generation: timer.Generation}
	}
	if len(moved.Moves) == 0 && moved.State == nil && moved.Wake == nil || r.err != nil {
		return nil, r.err
	}
	out := organs.Events{moved}
	if slices.ContainsFunc(r.moves, func(m Move) bool { return m.What == Turned && m.To.Ended() }) {
		ended := Ended{Saga: r.saga, Instance: r.inst.id, State: r.inst.status, Reason: r.inst.reason, Result: r.inst.data}
		d := eventstore.Draft{Payload: ended, ReplyTo: r.inst.replyTo}
		if r.def != nil {
			d.Depth = r.inst.depth + 1
		}
		out = append(out, d)
	}
	return slices.Concat(out, r.out, plans), nil
}
