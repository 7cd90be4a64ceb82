package sagas

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// world drives one instance by the engine's own decisions, and is what there is around it: those who decide what was sent,
// in any order or not at all, the log that brings their replies, the time that passes, operators. Whatever happens, it
// holds the instance to its promises.
type world struct {
	t    failer
	en   *engine[[]string]
	inst instance
	now  time.Time

	sent    map[uuid.UUID]*sent
	open    []uuid.UUID        // sent, not decided
	replies []eventstore.Event // to come
	old     []eventstore.Event // that have come
	pivoted bool
}

// failer is a test, or one of a property's many.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// sent is a command or call.
type sent struct {
	to      address
	revokes uuid.UUID
	call    bool
	attempt int
	decided What // Succeeded, Refused; Skipped: it was revoked
	undone  int  // how often what undoes it was accepted
}

type (
	order struct{ Step string }
	taken struct{ Step string }
)

func (order) CommandType() string { return "order" }
func (order) StreamID() string    { return "a/b" }
func (taken) EventType() string   { return "taken" }

// ordering is a command for a step; calling is a call, which nobody makes here.
func ordering(step string) Action[[]string] {
	return Command(func([]string) order { return order{step} })
}

func calling() Action[[]string] { return Action[[]string]{kind: call, event: "taken"} }

// taking is a step that is a command, and one that undoes it.
func taking(id string) Step[[]string] {
	return Step[[]string]{ID: id, Do: ordering(id), Undo: ordering("undo " + id)}
}

func takes(s *[]string, e taken) { *s = append(*s, e.Step) }

// begin begins an instance of a saga with the given steps.
func begin(t *testing.T, steps ...Node[[]string]) *world {
	t.Helper()
	return beginOf(t, Saga[[]string]{Steps: steps})
}

func beginOf(t failer, s Saga[[]string]) *world {
	t.Helper()
	s.Name, s.Start = "model", StartBy(func(order) ([]string, error) { return nil, nil })
	en, err := s.engine()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, en: en, now: time.Now().UTC().Truncate(time.Microsecond), sent: map[uuid.UUID]*sent{}}
	_, out, err := en.aggregate().Try(nil, order{})
	w.take(out, err)
	return w
}

// take folds what a decision has come to.
func (w *world) take(out organs.Events, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range out {
		w.one(p)
	}
	r, err := w.en.run(w.inst, w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	due := r.due()
	switch s := w.inst.status; {
	case s.Ended() || s == Suspended:
		if !w.inst.wake.Due.IsZero() {
			w.t.Fatalf("%s, and its timer is set to %s", s, w.inst.wake.Due)
		}
		if s.Ended() {
			w.ended()
		}
	case !due.IsZero() && (w.inst.wake.Due.IsZero() || w.inst.wake.Due.After(due)):
		w.t.Fatalf("%s is due at %s, and its timer is set to %s", s, due, w.inst.wake.Due)
	case due.IsZero() && !s.Stuck():
		w.t.Fatalf("%s, and nothing wakes it: %+v", s, w.inst.steps)
	}
}

func (w *world) one(p eventstore.Payload) {
	w.t.Helper()
	switch p := p.(type) {
	case Began, Moved:
		if err := evolve.Apply(&w.inst, eventOf(p)); err != nil {
			w.t.Fatal(err)
		}
		if moved, ok := p.(Moved); ok {
			for _, x := range moved.Moves {
				w.pivoted = w.pivoted || x.What == Turned && x.To == ForwardOnly
			}
		}
	case eventstore.Draft:
		if q, ok := p.Payload.(requested); ok {
			w.send(p.ReplyTo, q.Revokes, true)
		} else if inner, ok := p.Payload.(eventstore.Draft); ok {
			e, err := eventstore.Encode(inner)
			if err != nil {
				w.t.Fatal(err)
			}
			revoked := uuid.Nil
			for _, tag := range e.Tags {
				revoked = uuid.MustParse(tag[len("revokes:"):])
			}
			w.send(p.ReplyTo, revoked, false)
		}
	}
}

func (w *world) send(replyTo string, revokes uuid.UUID, isCall bool) {
	w.t.Helper()
	to, ok := addressOf("model", replyTo)
	if !ok || to.instance != "a/b" {
		w.t.Fatalf("address %q", replyTo)
	}
	id := to.id()
	if of := w.sent[revokes]; to.undo {
		switch {
		case of == nil:
			w.t.Fatalf("%s undoes what was never sent", replyTo)
		case w.pivoted:
			w.t.Fatalf("%s after the pivot", replyTo)
		case of.undone > 0 && w.sent[id] == nil:
			w.t.Fatalf("%s undoes what is undone", replyTo)
		}
	}
	x := w.sent[id]
	if x == nil {
		x = &sent{to: to, revokes: revokes, call: isCall}
		w.sent[id] = x
	}
	x.attempt = w.inst.steps[to.step].attempt
	if x.decided == "" && !slices.Contains(w.open, id) {
		w.open = append(w.open, id)
	}
}

// ended compares the end with what was decided.
func (w *world) ended() {
	w.t.Helper()
	completed := w.inst.status == Completed
	for _, x := range w.sent {
		p := w.inst.steps[x.to.step]
		switch {
		case x.to.undo || w.en.newest.step(x.to.step).Undo.kind == "":
		case completed && x.decided == Succeeded && x.undone == 0 && x.to.cycle != p.cycle:
			w.t.Fatalf("completed, and %s is not undone", x.to)
		case !completed && x.decided == Succeeded && x.undone == 0:
			w.t.Fatalf("%s, and %s is not undone", w.inst.status, x.to)
		case !completed && x.decided == "":
			w.t.Fatalf("%s, and %s may still be done", w.inst.status, x.to)
		}
	}
	for id := range w.en.newest.byID {
		if p := w.inst.steps[id]; completed && !p.done() || !completed && !p.undone() {
			w.t.Fatalf("%s, and %s is %s", w.inst.status, id, p.phase)
		}
	}
}

// decide has what was sent decided, and the reply put into the log. Unknown and Waiting are what a call may come to, too:
// it failed, or was not made.
func (w *world) decide(id uuid.UUID, v What) {
	x := w.sent[id]
	w.open = slices.DeleteFunc(w.open, func(o uuid.UUID) bool { return o == id })
	switch {
	case x.decided != "":
		return // it was revoked, or is decided once
	case v == Unknown || v == Waiting:
		w.reply(x, answered{Failed: v == Unknown, Held: v == Waiting, Why: "down", Attempt: x.attempt})
		return
	}
	x.decided = v
	if of := w.sent[x.revokes]; of != nil {
		if of.decided == "" {
			of.decided = Skipped
		}
		if v == Succeeded {
			of.undone++
		}
	}
	switch {
	case x.call:
		w.reply(x, answered{Refused: v == Refused})
	case v == Refused:
		w.reply(x, spine.Rejected{Reason: "no"})
	default:
		w.reply(x, spine.Accepted{})
	}
	if v == Succeeded && !x.to.undo {
		w.reply(x, taken{x.to.step})
	}
}

func (w *world) reply(x *sent, p eventstore.Payload) {
	e := eventOf(p)
	e.Stream, e.Metadata.ReplyTo = eventstore.StreamOf("command", x.to.id().String()), x.to.String()
	e.Tags = []string{spine.CommandTag(x.to.id())}
	w.replies = append(w.replies, e)
}

// deliver has the next reply come.
func (w *world) deliver() {
	w.t.Helper()
	e := w.replies[0]
	w.replies, w.old = w.replies[1:], append(w.old, e)
	w.answer(e)
}

func (w *world) answer(e eventstore.Event) {
	w.t.Helper()
	e.Time = w.now
	keys, err := w.en.addressed(e)
	if err != nil || len(keys) > 1 || len(keys) == 1 && keys[0] != "a/b" {
		w.t.Fatal(keys, err)
	}
	if len(keys) == 1 {
		w.take(w.en.answer("a/b", w.inst.clone(), e))
	}
}

// pass lets time go on to when the instance is to be woken.
func (w *world) pass() {
	w.t.Helper()
	if w.inst.wake.Due.IsZero() {
		w.t.Fatalf("%s has no timer", w.inst.status)
	}
	if w.inst.wake.Due.After(w.now) {
		w.now = w.inst.wake.Due.Truncate(time.Microsecond) // as a store keeps it
	}
	e := eventOf(woken{w.inst.wake.Generation})
	e.Time = w.now
	w.take(w.en.awake("a/b", w.inst.clone(), e))
	if d := w.inst.wake.Due.Truncate(time.Microsecond); !d.IsZero() && !d.After(w.now) {
		w.t.Fatalf("%s is woken at %s, and again at %s: %+v", w.inst.status, w.now, d, w.inst.steps)
	}
}

// operate reports whether an operator is allowed to do something.
func (w *world) operate(verb, step string) bool {
	w.t.Helper()
	if p := w.inst.steps[step]; verb == "skip" && p.undo {
		w.sent[address{"model", "a/b", step, p.cycle, false}.id()].decided = Skipped
	}
	out, err := w.en.operate(w.inst.clone(), operation{verb: verb, step: step, by: By{"ann", "she knows why"}}, w.now)
	if errors.Is(err, ErrNotNow) {
		return false
	}
	w.take(out, err)
	return true
}

// settle lets everything go well from now on, until the instance has ended.
func (w *world) settle() State {
	w.t.Helper()
	for range 2000 {
		switch s := w.inst.status; {
		case s.Ended():
			return s
		case s == Suspended:
			w.operate("resume", "")
		case len(w.open) > 0:
			w.decide(w.open[0], Succeeded)
		case len(w.replies) > 0:
			w.deliver()
		case s.Stuck():
			w.operate("retry", "")
		default:
			w.pass()
		}
	}
	w.t.Fatalf("%s, and does not end: %+v", w.inst.status, w.inst.steps)
	return ""
}

// comes has what a step has sent last decided, and all replies come.
func (w *world) comes(step string, undo bool, v What) {
	w.t.Helper()
	p := w.inst.steps[step]
	to := address{"model", "a/b", step, p.cycle, undo}
	if undo {
		to.cycle = p.undos
	}
	w.decide(to.id(), v)
	for len(w.replies) > 0 {
		w.deliver()
	}
}

// is fails unless the instance is in a state, and a step in a phase.
func (w *world) is(s State, step string, phase What) {
	w.t.Helper()
	if p := w.inst.steps[step]; w.inst.status != s || p.phase != phase {
		w.t.Fatalf("it is %s, and %s is %q: want %s and %q", w.inst.status, step, p.phase, s, phase)
	}
}
