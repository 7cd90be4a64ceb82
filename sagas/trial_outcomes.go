package sagas

import (
	"errors"
	"fmt"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

// Answer has an event come that follows from a step's action, however late: what the participant appends, or a call returns.
func (t *Trial[S]) Answer(step string, e eventstore.Payload) (Effects, error) {
	st, to, err := t.attempt(step)
	if err != nil {
		return Effects{}, err
	}
	to.undo = to.undo && st.Undo.kind == call && st.Undo.event == e.EventType()
	to = t.address(step, to.undo)
	if st.action(to.undo).kind == call && st.action(to.undo).event == e.EventType() {
		return t.deliver(to, answered{}, e)
	}
	return t.deliver(to, e)
}

// Accept has a step's action, or its undoing if that is under way, succeed: a command is accepted, a nested saga is
// Completed. Of a Process, step is the type of the command.
func (t *Trial[S]) Accept(step string) (Effects, error) {
	if t.process != nil {
		return t.reply(step, spine.Accepted{Command: step})
	}
	st, to, err := t.attempt(step)
	if err != nil {
		return Effects{}, err
	}
	if !to.undo && len(st.On) > 0 {
		return Effects{}, fmt.Errorf("step %q lists its outcomes: to be accepted alone settles nothing", step)
	}
	switch a := st.action(to.undo); a.kind {
	case call:
		return t.deliver(to, answered{})
	case nested:
		return t.deliver(to, Ended{State: Completed})
	default:
		return t.deliver(to, replyTo(to, spine.Accepted{Command: a.sends}))
	}
}

// Refuse has a step's action, or its undoing if that is under way, be refused: a nested saga is Compensated. Of a Process,
// step is the type of the command.
func (t *Trial[S]) Refuse(step, why string) (Effects, error) {
	if t.process != nil {
		return t.reply(step, spine.Rejected{Command: step, Reason: why})
	}
	st, to, err := t.attempt(step)
	if err != nil {
		return Effects{}, err
	}
	switch a := st.action(to.undo); a.kind {
	case call:
		return t.deliver(to, answered{Refused: true, Why: why})
	case nested:
		return t.deliver(to, Ended{State: Compensated, Reason: why})
	default:
		return t.deliver(to, replyTo(to, spine.Rejected{Command: a.sends, Reason: why}))
	}
}

// Fail has a step's call return an error, so that its outcome is not known.
func (t *Trial[S]) Fail(step, why string) (Effects, error) {
	st, to, err := t.attempt(step)
	if err != nil {
		return Effects{}, err
	}
	if st.action(to.undo).kind != call {
		return Effects{}, fmt.Errorf("step %q makes no call: it is accepted, refused, or not answered in time", step)
	}
	return t.deliver(to, answered{Failed: true, Why: why})
}

// replyTo is the reply to the command of an attempt.
func replyTo(a address, reply eventstore.Payload) eventstore.Payload {
	return eventstore.Draft{Payload: reply, Tags: []string{spine.CommandTag(a.id())}}
}

// address is that of the latest attempt at a step, or at its undoing.
func (t *Trial[S]) address(step string, undo bool) address {
	p := t.inst.steps[step]
	a := address{t.en.name, t.inst.id, step, p.cycle, undo}
	if undo {
		a.cycle = p.undos
	}
	return a
}

// attempt finds a step, and the attempt of it that is under way, or was the last.
func (t *Trial[S]) attempt(step string) (*Step[S], address, error) {
	if t.process != nil {
		return nil, address{}, errors.New("a process has no steps")
	}
	if !t.inst.begun() {
		return nil, address{}, ErrNoInstance
	}
	st := t.en.defs[t.inst.version].step(step)
	if st == nil {
		return nil, address{}, fmt.Errorf("there is no step %q", step)
	}
	p := t.inst.steps[step]
	if p.cycle == 0 {
		return nil, address{}, fmt.Errorf("step %q has not begun%s", step, t.waiting())
	}
	return st, t.address(step, p.undo), nil
}

// deliver has events come that follow from an attempt.
func (t *Trial[S]) deliver(to address, events ...eventstore.Payload) (all Effects, err error) {
	for _, e := range events {
		ev, err := t.event(eventstore.Draft{Payload: e, ReplyTo: to.String()})
		if err != nil {
			return all, err
		}
		now, err := t.follow(t.en.answer(t.inst.id, t.inst, ev))
		all.Commands, all.Calls = append(all.Commands, now.Commands...), append(all.Calls, now.Calls...)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// reply has the reply to a process's command come.
func (t *Trial[S]) reply(command string, e eventstore.Payload) (Effects, error) {
	to, ok := t.sent[command]
	if !ok {
		return Effects{}, fmt.Errorf("%s has sent no %s", t.process.Name, command)
	}
	ev, err := t.event(eventstore.Draft{Payload: e, ReplyTo: to})
	if err != nil {
		return Effects{}, err
	}
	return t.taken(ev)
}
