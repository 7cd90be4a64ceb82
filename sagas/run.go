package sagas

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/lossless"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// run is one decision on an instance: what happens to it at one time, and what follows.
type run[S any] struct {
	saga  string
	def   *definition[S] // nil of a Process
	inst  instance       // a copy, up to date
	now   time.Time
	moves []Move
	out   organs.Events // commands and calls
	state *S            // decoded when it is needed
	dirty bool          // the state has changed
	woken bool          // the timer has fired
	fired time.Time     // by the store's clock: what is due later is not due yet, whatever the process's clock says
	err   error         // of the user's functions, or of the state
}

// do has something happen.
func (r *run[S]) do(m Move) {
	r.inst.apply(m)
	r.moves = append(r.moves, m)
}

func (r *run[S]) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// remembered returns the state.
func (r *run[S]) remembered() *S {
	if r.state == nil {
		s, err := lossless.Decode[S](r.inst.data)
		if err != nil {
			r.fail(spine.Park(fmt.Errorf("state of %s: %w", stream(r.saga, r.inst.id), err)))
		}
		r.state = &s
	}
	return r.state
}

// advance goes on as far as nothing is to be waited for.
func (r *run[S]) advance() {
	for r.err == nil {
		before := len(r.moves)
		switch r.inst.status {
		case Running, ForwardOnly:
			r.forward()
		case Compensating:
			r.backward()
		}
		if len(r.moves) == before {
			return
		}
	}
}

// forward begins the first node whose steps are not all done.
func (r *run[S]) forward() {
	for n, node := range r.def.nodes {
		done, begun, flying, bad := true, false, false, ""
		for i := range node.steps {
			p := r.inst.steps[node.steps[i].ID]
			done, begun, flying = done && p.done(), begun || p.phase != "", flying || p.phase == Sent
			if p.phase == Refused || p.phase == Unknown {
				bad = fmt.Sprintf("%s: %s", node.steps[i].ID, p.why)
			}
		}
		switch {
		case done:
			continue
		case bad != "":
			if !flying { // what waits to be tried again is not
				r.turnBack(n, bad)
			}
			return
		case !begun && r.late():
			r.turnLate()
			return
		}
		for i := range node.steps {
			if st := &node.steps[i]; r.inst.steps[st.ID].phase == "" {
				r.send(st, false)
			}
		}
		return
	}
	r.turn(Completed, "")
}

// turnBack has what was done undone: to the nearest savepoint that is worth another try, or all of it.
func (r *run[S]) turnBack(from int, why string) {
	back := 0
	for n := from - 1; n >= 0 && back == 0; n-- {
		if save := r.def.nodes[n].save; save.Attempts > 0 && r.inst.tries[n+1] < save.Attempts {
			back = n + 1
		}
	}
	r.do(Move{What: Turned, To: Compensating, Back: back, Why: why})
}

// backward undoes the last node of which something is left. What is under way is first waited for.
func (r *run[S]) backward() {
	nodes := r.def.nodes
	for n := len(nodes) - 1; n >= r.inst.back; n-- {
		left := false
		for i := range nodes[n].steps {
			st := &nodes[n].steps[i]
			p := r.inst.steps[st.ID]
			switch {
			case p.undone():
				continue
			case !p.undo && p.phase == Waiting && p.anew: // for a cycle that has not begun
				r.do(Move{What: Succeeded, Undo: true, Step: st.ID, Why: "nothing to undo"})
				continue
			case !p.undo && p.phase == Waiting:
				r.do(Move{What: Unknown, Step: st.ID, Cycle: p.cycle, Why: p.why})
			case p.undo || p.phase == Sent: // it is under way
			case st.Undo.kind == "":
				r.do(Move{What: Succeeded, Undo: true, Step: st.ID, Why: "nothing to undo"})
				continue
			default:
				r.send(st, true)
			}
			left = true
		}
		if left {
			return
		}
	}
	switch {
	case r.inst.back > 0:
		r.again(r.inst.back)
	case r.inst.cancel:
		r.turn(Cancelled, "")
	default:
		r.turn(Compensated, "")
	}
}

// again goes forward from a savepoint, after a while.
func (r *run[S]) again(savepoint int) {
	r.do(Move{What: Turned, To: Running, Back: savepoint})
	until := after(r.now, r.def.nodes[savepoint-1].save.wait(r.inst.tries[savepoint]))
	next := savepoint // a savepoint never is the last node, but another one may follow it
	for len(r.def.nodes[next].steps) == 0 {
		next++
	}
	for _, st := range r.def.nodes[next].steps {
		if r.inst.steps[st.ID].phase == "" {
			r.do(Move{What: Waiting, Step: st.ID, Anew: true, Until: until})
		}
	}
}

func (r *run[S]) turn(to State, why string) { r.do(Move{What: Turned, To: to, Why: why}) }

// send begins an attempt at a step: the first one, another of the same cycle, or the first of the next.
func (r *run[S]) send(st *Step[S], undo bool) {
	p := r.inst.steps[st.ID]
	cycle, attempt := p.cycle, 1
	if undo {
		cycle = p.undos
	}
	if p.undo != undo || p.phase != Waiting || p.anew || cycle == 0 {
		cycle++
	}
	if p.undo == undo && p.phase == Waiting {
		attempt = p.attempt + 1
	}
	to := address{r.saga, r.inst.id, st.ID, cycle, undo}
	m := Move{What: Sent, Step: st.ID, Undo: undo, Cycle: cycle, Attempt: attempt, ID: to.id()}
	if timeout := st.timeout(undo); timeout > 0 {
		m.Until = after(r.now, timeout)
	}
	var revoked uuid.UUID
	if undo {
		revoked = address{r.saga, r.inst.id, st.ID, p.cycle, false}.id()
	}
	a := st.action(undo)
	if a.kind == call {
		r.out = append(r.out, eventstore.Draft{
			Payload: requested{
				Saga: r.saga, Instance: r.inst.id, Version: r.def.version, Step: st.ID, Undo: undo, Attempt: attempt,
				Revokes: revoked, State: r.encoded(),
			},
			Stream: eventstore.StreamOf(calls(r.saga), m.ID.String()), ReplyTo: to.String(), Depth: r.inst.depth + 1,
		})
		r.do(m)
		return
	}
	c := a.make(*r.remembered())
	if undo {
		c = spine.Revoking(revoked, m.ID, c)
	} else {
		c = spine.WithID(m.ID, c)
	}
	r.out = append(r.out, eventstore.Draft{Payload: spine.Post(c), ReplyTo: to.String(), Depth: r.inst.depth + 1})
	r.do(m)
}

// encoded is the state as it is to be kept.
func (r *run[S]) encoded() json.RawMessage {
	if !r.dirty {
		return r.inst.data
	}
	data, err := lossless.Encode(r.state)
	if err != nil {
		r.fail(spine.Park(err))
	}
	return data
}

// verdict is what an attempt came to.
type verdict int

const (
	success verdict = iota
	refused
	failed // it is not known what came of it
	held   // it was not made
)

// settle has an attempt come to something. What comes late, or twice, changes nothing.
func (r *run[S]) settle(a address, v verdict, why string, fold func(*S) error) {
	st, p := r.def.step(a.step), r.inst.steps[a.step]
	cycle := p.cycle
	if a.undo {
		cycle = p.undos
	}
	open := p.flying() || p.phase == Stuck || p.phase == Unknown
	if st == nil || !open || p.undo != a.undo || cycle != a.cycle || r.inst.status.Ended() || p.phase == Waiting && p.anew {
		return
	}
	m := Move{Step: a.step, Undo: a.undo, Cycle: a.cycle, Attempt: p.attempt, Why: why}
	switch v {
	case success:
		m.What = Succeeded
		r.do(m)
		r.remember(fold)
		r.freed(st)
	case refused:
		before := len(r.moves)
		if r.retry(m, p, st, true); len(r.moves) > before {
			r.remember(fold)
		}
	case failed, held:
		if p.phase != Sent {
			return
		}
		if v == held {
			m.Attempt--
		}
		r.retry(m, p, st, false)
	}
	r.advanceUnlessSuspended()
}

// remember keeps what an outcome brings.
func (r *run[S]) remember(fold func(*S) error) {
	if fold == nil {
		return
	}
	if err := fold(r.remembered()); err != nil {
		r.fail(spine.Park(err))
	}
	r.dirty = true
}

func (r *run[S]) advanceUnlessSuspended() {
	if r.inst.status != Suspended {
		r.advance()
	}
}

// freed turns an instance that was stuck on a step, and passes the pivot.
func (r *run[S]) freed(st *Step[S]) {
	status := &r.inst.status
	if r.inst.status == Suspended {
		status = &r.inst.before
	}
	p := r.def.byID[st.ID]
	switch {
	case *status == Compensating:
	case p.node == r.def.pivot && (*status == Running || *status == ForwardStuck):
		r.resumeTo(ForwardOnly, "")
	case *status == ForwardStuck && !r.anyStuck():
		r.resumeTo(ForwardOnly, "")
	case *status == UndoStuck && !r.anyStuck():
		r.resumeTo(Compensating, "")
	}
}

// resumeTo turns an instance, or what it will be once it is no longer suspended.
func (r *run[S]) resumeTo(s State, why string) {
	suspended := r.inst.status == Suspended
	r.turn(s, why)
	if suspended {
		r.turn(Suspended, "")
	}
}

func (r *run[S]) anyStuck() bool {
	for _, p := range r.inst.steps {
		if p.phase == Stuck {
			return true
		}
	}
	return false
}

// retry is what becomes of an attempt that came to nothing: m says which. Refused, the next one is of another cycle, for
// a command is decided once.
func (r *run[S]) retry(m Move, p progress, st *Step[S], refused bool) {
	back := !m.Undo && !r.def.past(m.Step) // then a refusal has the saga turn back
	pivot := r.def.pivot >= 0 && r.def.byID[m.Step].node == r.def.pivot
	status := r.inst.status
	if status == Suspended {
		status = r.inst.before
	}
	turning := status == Compensating || status == UndoStuck
	switch {
	case refused && (back || pivot || turning && !m.Undo):
		m.What = Refused
	case p.phase == Stuck && refused && !p.anew: // the next attempt needs another id
		m.What, m.Anew = Stuck, true
	case p.phase == Stuck || p.phase == Unknown:
		return // there is no more to it
	case turning && !m.Undo, back && r.def.exhausted(st, false, m.Attempt):
		m.What = Unknown
	case r.def.exhausted(st, m.Undo, m.Attempt):
		m.What, m.Anew = Stuck, refused
	default:
		policy := st.Retry
		if m.Undo {
			policy = st.UndoRetry
		}
		m.What, m.Anew, m.Until = Waiting, refused, after(r.now, policy.wait(max(m.Attempt, 1)))
	}
	r.do(m)
	if m.What == Refused && pivot && (r.inst.status == ForwardStuck || r.inst.before == ForwardStuck && r.inst.status == Suspended) {
		r.resumeTo(Running, "")
	}
	if m.What == Stuck {
		to := ForwardStuck
		if m.Undo {
			to = UndoStuck
		}
		r.resumeTo(to, fmt.Sprintf("%s: %s", m.Step, m.Why))
	}
}

// wait is how long to wait after a number of attempts.
func (r Retry) wait(attempts int) time.Duration {
	base, most := r.Base, r.Most
	if base == 0 {
		base = time.Second
	}
	if most == 0 {
		most = max(5*time.Minute, base)
	}
	d := most
	if n := attempts - 1; base <= most>>n {
		d = base << n
	}
	return d/2 + rand.N(d/2+1) //nolint:gosec // it only spreads attempts
}
