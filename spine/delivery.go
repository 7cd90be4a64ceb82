package spine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// serve handles one delivery and settles it.
func (e *engine) serve(ctx context.Context, c *consumer, s *shape, d eventstore.Delivery) {
	l := &lane{engine: e, consumer: c, shape: s}
	defer func() {
		if l.worker != nil {
			close(l.worker.jobs)
		}
	}()
	err := l.serve(ctx, d)
	switch {
	case isGone(err): // it took too long: another worker has it
		l.observe(ctx, Observation{Step: LeaseLost, Position: d.Position, Err: err})
	case err != nil && ctx.Err() == nil:
		e.storeFailed(ctx, fmt.Errorf("organ %s: delivery of position %d: %w", c.Name, d.Position, err))
	}
}

func (l *lane) serve(ctx context.Context, d eventstore.Delivery) error {
	in, err := l.deliveredEvent(ctx, d)
	if err != nil {
		return err
	}
	if len(in) == 0 { // the organ does not listen to it any more
		_, err := l.engine.store.Commit(ctx, eventstore.Commit{Acks: []eventstore.Ack{ackOf(d)}})
		l.engine.window.Fire()
		return err
	}
	if l.engine.observed(ctx) {
		l.observe(ctx, Observation{Step: EventReceived, Event: in[0].Event})
	}
	if d.Attempt > l.consumer.Policy.MaxDeliveries {
		err := fmt.Errorf("%w: delivered %d times", errUnanswered, d.Attempt-1)
		return l.setDown(ctx, d, in, append(d.Failures, failure(err)), err)
	}
	for n := 0; ; n++ {
		w, fails := l.exhaust(ctx, in)
		if w.done < len(in) {
			return l.handBack(ctx, d, in, fails, w.err)
		}
		err := l.answer(ctx, &w, in, ackOf(d))
		switch {
		case errors.Is(err, eventstore.ErrConflict) && n < l.engine.cfg.Conflicts:
			l.consumer.conflicted.Add(1)
			if !pause(ctx, jitter(time.Millisecond<<min(n, 8))) {
				return err
			}
		case errors.Is(err, eventstore.ErrConflict), isRefusal(err):
			l.consumer.failed.Add(1)
			return l.handBack(ctx, d, in, []eventstore.Failure{failure(err)}, err)
		default:
			return err
		}
	}
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
func (l *lane) handBack(ctx context.Context, d eventstore.Delivery, in []Input, fails []eventstore.Failure, failed error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p := &l.consumer.Policy
	if p.OnError != ErrorNack || d.Attempt >= p.MaxDeliveries {
		return l.setDown(ctx, d, in, append(d.Failures, fails...), failed)
	}
	due := time.Now().UTC().Add(p.Backoff.delay(d.Attempt))
	_, err := l.engine.store.Commit(ctx, eventstore.Commit{
		Returns: []eventstore.Return{{Ack: ackOf(d), Due: due, Failure: failure(failed)}},
	})
	if err == nil {
		l.observe(ctx, Observation{Step: EventRetried, Event: in[0].Event, Err: failed})
	}
	l.engine.window.Fire()
	return err
}

// setDown has the event of a delivery parked or skipped, as the policy says.
func (l *lane) setDown(ctx context.Context, d eventstore.Delivery, in []Input, fails []eventstore.Failure, err error) error {
	w := l.giveUp(in, fails, err)
	for i := range w.parks {
		w.parks[i].Due = time.Time{} // it was tried often enough
	}
	return l.answer(ctx, &w, in, ackOf(d))
}

func ackOf(d eventstore.Delivery) eventstore.Ack {
	return eventstore.Ack{Consumer: d.Consumer, ID: d.ID, Attempt: d.Attempt}
}

// answer commits what came of a delivery, with its acknowledgement. It sends the same commit again until its fate
// is known.
func (l *lane) answer(ctx context.Context, w *work, in []Input, ack eventstore.Ack) error {
	c := w.output.commit
	c.Acks = []eventstore.Ack{ack}
	if len(w.parks) > 0 {
		c.Parks = w.parks[:1] // the parts of an event are delivered together
	}
	var r eventstore.Result
	var err error
	for failures, unknown := 0, false; ; failures++ {
		r, err = l.engine.commit(ctx, l.consumer.Name, c, nil)
		if unknown && isGone(err) && len(c.Appends)+len(c.Schedules) == 0 {
			err = nil // it was ours
		}
		if err == nil || errors.Is(err, eventstore.ErrFenced) || errors.Is(err, eventstore.ErrConflict) || isRefusal(err) {
			break
		}
		unknown = unknown || errors.Is(err, eventstore.ErrOutcomeUnknown)
		l.observe(ctx, Observation{Step: CommitFailed, Err: err})
		if l.consumer.Policy.OnCommitError == CommitFail || isFinal(err) {
			l.engine.fail(err)
			break
		}
		if !pause(ctx, jitter(min(storePause<<min(failures, 6), 5*time.Second))) {
			break
		}
	}
	w.output.settle(r, err)
	if err == nil {
		l.settled(ctx, w, &c, in, in[0].Position)
	}
	l.engine.window.Fire()
	return err
}

// deliveredEvent reads the event of a delivery, with all its parts.
func (l *lane) deliveredEvent(ctx context.Context, d eventstore.Delivery) (in []Input, err error) {
	r := eventstore.Range{After: d.Position - 1, UpTo: d.Position}
	for ev, err := range l.engine.store.Read(ctx, l.consumer.Listens, r) {
		if err != nil {
			return nil, err
		}
		in = append(in, Input{Event: &ev, Keys: []string{d.Event.String()}}) // each waits for itself alone
	}
	return in, nil
}
