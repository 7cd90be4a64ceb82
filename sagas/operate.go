package sagas

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/necrostack/necrostack/organs"
)

// operate decides about what an operator wants done to an instance.
func (en *engine[S]) operate(i instance, o operation, at time.Time) (organs.Events, error) {
	r, err := en.run(i, at)
	if err != nil {
		return nil, err
	}
	refuse := func(format string, args ...any) (organs.Events, error) {
		return nil, fmt.Errorf("%w: it is %s%s", ErrNotNow, i.status, fmt.Sprintf(format, args...))
	}
	switch o.verb {
	case "retry":
		if i.status != UndoStuck && i.status != ForwardStuck {
			return refuse(", so no step is stuck")
		}
		r.retryStuck(o)
	case "skip":
		st, p := r.def.step(o.step), i.steps[o.step]
		if st == nil {
			return nil, fmt.Errorf("%w: there is no step %q", ErrNotNow, o.step)
		}
		if p.phase != Stuck || i.status == Suspended {
			return refuse(", and step %q is not stuck", o.step)
		}
		r.do(Move{What: Skipped, Step: o.step, Undo: p.undo, By: o.by.Who, Why: o.by.Why})
		r.freed(st)
		r.timed()
	case "cancel":
		if i.status != Running && i.status != Compensating {
			return refuse(", and what is past its pivot or has ended is not undone")
		}
		if i.status == Running && r.pivoting() {
			return refuse(", and its pivot is under way")
		}
		r.do(Move{What: Turned, To: Compensating, By: o.by.Who, Why: o.by.Why})
		r.timed()
	case "suspend":
		if i.status == Suspended || i.status.Ended() {
			return refuse("")
		}
		r.do(Move{What: Turned, To: Suspended, By: o.by.Who, Why: o.by.Why})
	case "resume":
		if i.status != Suspended {
			return refuse(", not suspended")
		}
		r.do(Move{What: Turned, To: i.before, By: o.by.Who, Why: o.by.Why})
		r.timed()
	}
	return r.finish()
}

// retryStuck has the steps that are stuck tried again.
func (r *run[S]) retryStuck(o operation) {
	to := Compensating
	for _, id := range slices.Sorted(maps.Keys(r.inst.steps)) {
		p := r.inst.steps[id]
		if p.phase != Stuck {
			continue
		}
		if !p.undo {
			if to = ForwardOnly; r.def.byID[id].node == r.def.pivot {
				to = Running
			}
		}
		r.do(Move{What: Retried, Step: id, Undo: p.undo, Anew: p.anew, By: o.by.Who, Why: o.by.Why})
	}
	r.do(Move{What: Turned, To: to, By: o.by.Who, Why: o.by.Why})
	r.timed()
}

// operate decides about what an operator wants done to an instance.
func (p Process[S]) operate(i instance, o operation, at time.Time) (organs.Events, error) {
	if o.verb != "cancel" {
		return nil, fmt.Errorf("%w: a process can only be cancelled", ErrNotNow)
	}
	if i.status.Ended() {
		return nil, fmt.Errorf("%w: it is %s", ErrNotNow, i.status)
	}
	r := &run[S]{saga: p.Name, inst: i.clone(), now: at}
	r.stopTimers()
	r.do(Move{What: Turned, To: Cancelled, By: o.by.Who, Why: o.by.Why})
	return r.finish()
}
