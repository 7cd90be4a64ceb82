package spine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// handed is a delivery in the hands of a team.
type handed struct {
	lane
	eventstore.Delivery
	team *team
	ack  eventstore.Ack
	in   []Input         // the parts of its event; none: to be read
	ends <-chan struct{} // closed when what has no worker yet gets none
	late <-chan struct{} // closed when it has waited for too long
	over time.Time       // from when it may be somebody else's

	holds bool // a worker
}

// errSpare is why a delivery was passed on that nobody has tried.
var errSpare = errors.New("no worker was free in time")

// discount takes out of a delivery how often it was passed on: these were no attempts. Nobody knows what was before the failures that
// are kept: if all of them are of that kind, it counts as new.
func (h *handed) discount() {
	before := len(h.Failures)
	h.Failures = slices.DeleteFunc(h.Failures, func(f eventstore.Failure) bool { return f.Error == errSpare.Error() })
	if h.Attempt -= before - len(h.Failures); before == keptFailures && len(h.Failures) == 0 {
		h.Attempt = 1
	}
}

// serve handles a delivery and settles it.
func (h *handed) serve(ctx context.Context) {
	err := h.settle(ctx)
	switch {
	case isGone(err): // it took too long: another worker has it
		h.observe(ctx, Observation{Step: LeaseLost, Position: h.Position, Err: err})
	case err != nil && ctx.Err() == nil:
		h.engine.storeFailed(ctx, fmt.Errorf("organ %s: delivery of position %d: %w", h.consumer.Name, h.Position, err))
	}
}

func (h *handed) settle(ctx context.Context) (err error) {
	if !h.hold() {
		return h.passOn(ctx)
	}
	defer h.letGo()
	if len(h.in) == 0 {
		if h.in, err = h.delivered(ctx); err != nil {
			return err
		}
	}
	if len(h.in) == 0 { // the organ does not listen to it any more
		h.letGo()
		_, err := h.engine.store.Commit(ctx, eventstore.Commit{Acks: []eventstore.Ack{h.ack}})
		h.engine.window.Fire()
		return err
	}
	if h.engine.observed(ctx) {
		h.observe(ctx, Observation{Step: EventReceived, Event: h.in[0].Event})
	}
	if h.Attempt > h.consumer.Policy.MaxDeliveries {
		err := fmt.Errorf("%w: delivered %d times", errUnanswered, h.Attempt-1)
		return h.setDown(ctx, append(h.Failures, failure(err)), err)
	}
	return h.carryOut(ctx)
}

// carryOut handles the event until what came of it is committed. The worker is free before the first commit; an event that conflicts
// keeps the one that it gets then.
func (h *handed) carryOut(ctx context.Context) error {
	for n := 0; ; n++ {
		began := time.Now()
		w, fails := h.exhaust(ctx, h.in)
		h.team.hands.handled(time.Since(began))
		if n == 0 {
			h.letGo()
		}
		if w.done < len(h.in) {
			return h.handBack(ctx, fails, w.err)
		}
		err := h.answer(ctx, &w)
		switch {
		case errors.Is(err, eventstore.ErrConflict) && n < h.engine.cfg.Conflicts:
			h.consumer.conflicted.Add(1)
			h.team.hands.slow()
			if !pause(ctx, jitter(time.Millisecond<<min(n, 8))) {
				return err
			}
			if n == 0 && !h.holdAgain() {
				return h.passOn(ctx)
			}
		case errors.Is(err, eventstore.ErrConflict), isRefusal(err):
			h.consumer.failed.Add(1)
			return h.handBack(ctx, []eventstore.Failure{failure(err)}, err)
		default:
			return err
		}
	}
}

// hold waits for a worker. It reports false if that takes too long, or the team ends.
func (h *handed) hold() bool {
	if !time.Now().Before(h.over) {
		return false
	}
	select {
	case h.worker = <-h.team.workers:
		h.holds = true
		return true
	default:
	}
	select {
	case w := <-h.team.workers:
		select {
		case <-h.late:
			h.team.workers <- w
		default:
			h.worker, h.holds = w, true
			return true
		}
	case <-h.late:
	case <-h.ends:
		return false
	}
	h.team.hands.slow()
	return false
}

// holdAgain waits for a worker once more, as long as there is time to handle the event again.
func (h *handed) holdAgain() bool {
	late := make(chan struct{})
	enough := time.AfterFunc(time.Until(h.over.Add(-h.consumer.Policy.Deadline)), func() { close(late) })
	defer enough.Stop()
	h.late = late
	h.team.hands.need()
	return h.hold()
}

// letGo gives the worker back.
func (h *handed) letGo() {
	if h.holds {
		h.team.workers <- h.worker
		h.worker, h.holds = nil, false
		h.team.hands.free()
	}
}

// passOn has a delivery made again at once, to whoever has a worker for it.
func (h *handed) passOn(ctx context.Context) error {
	h.team.hands.free()
	_, err := h.engine.store.Commit(ctx, eventstore.Commit{
		Returns: []eventstore.Return{{Ack: h.ack, Due: time.Now().UTC(), Failure: failure(errSpare)}},
	})
	h.engine.window.Fire()
	return err // then it is made again when its time is up
}

// errUnanswered is why an event was parked whose workers do not come back.
var errUnanswered = errors.New("no worker has answered")

// exhaust tries an event as often as quick retries allow. What it leaves undone has failed.
func (l *lane) exhaust(ctx context.Context, in []Input) (w work, fails []eventstore.Failure) {
	var t tries
	for {
		w = l.attempt(ctx, in, len(t.failures)+1)
		l.consumer.failed.Add(int64(w.failures()))
		if w.done == len(in) {
			return w, nil
		}
		t.failed(w.err)
		if l.spent(&t) || !pause(ctx, l.consumer.Policy.Retry.delay(len(t.failures))) {
			return work{err: t.err}, t.failures
		}
	}
}

// handBack decides what becomes of a delivery that has failed: it is made again later, or its event is set aside.
// What ends with the process has not failed; it comes back by itself.
func (h *handed) handBack(ctx context.Context, fails []eventstore.Failure, failed error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p := &h.consumer.Policy
	if p.OnError != ErrorNack || h.Attempt >= p.MaxDeliveries {
		return h.setDown(ctx, append(h.Failures, fails...), failed)
	}
	due := time.Now().UTC().Add(p.Backoff.delay(h.Attempt))
	_, err := h.engine.store.Commit(ctx, eventstore.Commit{
		Returns: []eventstore.Return{{Ack: h.ack, Due: due, Failure: failure(failed)}},
	})
	if err == nil {
		h.observe(ctx, Observation{Step: EventRetried, Event: h.in[0].Event, Err: failed})
	}
	h.engine.window.Fire()
	return err
}

// setDown has the event of a delivery parked or skipped, as the policy says.
func (h *handed) setDown(ctx context.Context, fails []eventstore.Failure, err error) error {
	w := h.giveUp(h.in, fails, err)
	for i := range w.parks {
		w.parks[i].Due = time.Time{} // it was tried often enough
	}
	return h.answer(ctx, &w)
}

func ackOf(d eventstore.Delivery) eventstore.Ack {
	return eventstore.Ack{Consumer: d.Consumer, ID: d.ID, Attempt: d.Attempt}
}

// answer commits what came of a delivery, with its acknowledgement. It sends the same commit again until its fate
// is known.
func (h *handed) answer(ctx context.Context, w *work) error {
	c := w.output.commit
	c.Acks = []eventstore.Ack{h.ack}
	if len(w.parks) > 0 {
		c.Parks = w.parks[:1] // the parts of an event are delivered together
	}
	var r eventstore.Result
	var err error
	for failures, unknown := 0, false; ; failures++ {
		r, err = h.engine.commit(ctx, h.consumer.Name, c, nil)
		if unknown && isGone(err) && len(c.Appends)+len(c.Schedules) == 0 {
			err = nil // it was ours
		}
		if err == nil || errors.Is(err, eventstore.ErrFenced) || errors.Is(err, eventstore.ErrConflict) || isRefusal(err) {
			break
		}
		unknown = unknown || errors.Is(err, eventstore.ErrOutcomeUnknown)
		h.observe(ctx, Observation{Step: CommitFailed, Err: err})
		if h.consumer.Policy.OnCommitError == CommitFail || isFinal(err) {
			h.engine.fail(err)
			break
		}
		if !pause(ctx, jitter(min(storePause<<min(failures, 6), 5*time.Second))) {
			break
		}
	}
	w.output.settle(r, err)
	if err == nil {
		h.settled(ctx, w, &c, h.in, h.Position)
	}
	h.engine.window.Fire()
	return err
}

// delivered reads the event of the delivery, with all its parts.
func (h *handed) delivered(ctx context.Context) (in []Input, err error) {
	r := eventstore.Range{After: h.Position - 1, UpTo: h.Position}
	for ev, err := range h.engine.store.Read(ctx, h.consumer.Listens, r) {
		if err != nil {
			return nil, err
		}
		in = append(in, inputOf(&ev, &h.Delivery))
	}
	return in, nil
}

// inputOf is an event for whoever it was delivered to. Each waits for itself alone.
func inputOf(e *eventstore.Event, d *eventstore.Delivery) Input {
	return Input{Event: e, Keys: []string{d.Event.String()}}
}
