package spine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// redriveBatch is how many events of a key a lane handles before it looks at the log again.
const redriveBatch = 64

// errNotFinished is what is known of an attempt at a parked event until it has ended. Its text is in the log.
var errNotFinished = errors.New("the attempt has not ended: it is under way, or its process is gone")

// errUnheard is why a parked event cannot be tried.
var errUnheard = errors.New("the organ does not listen to the event any more")

// redrive works off the queue of a key: from its head, until it is empty or an event fails again. It reports
// false when the lane is over.
func (l *lane) redrive(ctx, work context.Context, key string) bool {
	for range redriveBatch {
		head := l.quarantine.head(key)
		if len(head) == 0 || ctx.Err() != nil {
			return ctx.Err() == nil
		}
		done, err := l.tryAgain(ctx, work, key, head)
		switch {
		case err == nil && !done:
			return true
		case isGone(err): // somebody has taken it back
			l.quarantine.outdate()
			return true
		case err != nil:
			return l.pauseAfter(ctx, work, err)
		}
	}
	return true
}

// tryAgain gives the head of a key another try. It reports whether the event waits no more.
func (l *lane) tryAgain(ctx, work context.Context, key string, head []eventstore.Parked) (done bool, err error) {
	if l.shape.competing {
		err = l.refill(ctx, work, key)
		return err == nil, err
	}
	return l.redriveHead(work, key, head)
}

// pauseAfter reports whether the lane goes on after the store has failed.
func (l *lane) pauseAfter(ctx, work context.Context, err error) bool {
	if errors.Is(err, eventstore.ErrFenced) || ctx.Err() != nil {
		return false
	}
	l.engine.storeFailed(work, fmt.Errorf("organ %s: redrive: %w", l.consumer.Name, err))
	return pause(ctx, storePause)
}

// redriveHead tries one event again. That it is tried is committed first, so that one which kills the process is
// not tried for ever, but set aside as poison. It reports whether the event is done.
func (l *lane) redriveHead(ctx context.Context, key string, head []eventstore.Parked) (done bool, err error) {
	in, err := l.fetch(ctx, key, head)
	if err != nil {
		return false, err
	}
	tried, refused := head, poisoned(head)
	if refused == nil {
		tried = l.again(head, errNotFinished)
		announced := replace(append(slices.Clone(tried), l.unmarked(key, head)...))
		if _, err := l.send(ctx, announced, stay, nil); err != nil {
			return false, err
		}
		l.quarantine.putAll(announced.Parks)
	}
	for n := 0; ; n++ {
		w := work{err: refused}
		if refused == nil {
			w = l.retry(ctx, in, tried[0].Attempts)
		}
		c := l.verdict(&w, tried)
		next := l.quarantine.after(head)
		if len(c.Parks) == 0 && next != nil && next.Attempts > 0 { // what was never tried goes on by itself
			c.Redrives = []uuid.UUID{next.ID}
		}
		r, err := l.send(ctx, c, stay, w.output.into)
		w.output.settle(r, err)
		switch {
		case err == nil:
			l.redriven(ctx, &w, &c, in, tried)
			if len(c.Redrives) > 0 {
				next.Redriven = true
				l.quarantine.put(*next)
			}
			return len(c.Parks) == 0, nil
		case errors.Is(err, eventstore.ErrConflict) && n < l.engine.cfg.Conflicts:
			l.consumer.conflicted.Add(1)
			if !pause(ctx, jitter(time.Millisecond<<min(n, 8))) {
				return false, err
			}
		case refused == nil && (errors.Is(err, eventstore.ErrConflict) || isRefusal(err) || isGone(err) && !isOf(err, tried)):
			refused = err // what the handler made of the event is at fault: without it then
			l.consumer.failed.Add(1)
		default:
			return false, err
		}
	}
}

// poisoned is why an event is not tried again by itself, or nil: too many attempts in a row have not ended.
func poisoned(head []eventstore.Parked) error {
	if n := unfinished(&head[0]); n >= carefulMost && !head[0].Redriven {
		return poison(n)
	}
	return nil
}

// replace has parked entries replaced, unless one of them was taken back by somebody else.
func replace(parks []eventstore.Parked) (c eventstore.Commit) {
	c.Parks = parks
	for _, p := range parks {
		c.Unparks = append(c.Unparks, p.ID)
	}
	return c
}

// isOf reports whether an error is about one of some entries.
func isOf(err error, entries []eventstore.Parked) bool {
	fenced, ok := errors.AsType[*eventstore.FencedError](err)
	return ok && slices.ContainsFunc(entries, func(p eventstore.Parked) bool { return p.ID == fenced.Entry })
}

// retry runs the handler for one event, if there still is something to handle.
func (l *lane) retry(ctx context.Context, in []Input, number int) work {
	w := work{err: errUnheard}
	if len(in) > 0 {
		w = l.attempt(ctx, in, number)
	}
	l.consumer.failed.Add(int64(w.failures()))
	return w
}

// verdict is the commit that ends an attempt at a parked event, which has one entry for each of its parts.
func (l *lane) verdict(w *work, tried []eventstore.Parked) eventstore.Commit {
	c := w.output.commit
	for _, p := range tried {
		c.Unparks = append(c.Unparks, p.ID)
		if err := w.failureOf(p.Event); err != nil && l.consumer.Policy.OnError != ErrorLog {
			c.Parks = append(c.Parks, l.failedAgain(p, err))
		}
	}
	return c
}

// failureOf is why an event is not done, or nil.
func (w *work) failureOf(event uuid.UUID) error {
	for _, a := range w.aside {
		if a.event.ID == event {
			return a.err
		}
	}
	return w.err
}

// fetch reads a parked event for one of its keys. It returns nothing if the organ does not listen to it any more.
func (l *lane) fetch(ctx context.Context, key string, head []eventstore.Parked) (in []Input, err error) {
	at := head[0].Position
	for ev, err := range l.engine.store.Read(ctx, l.consumer.Listens, eventstore.Range{After: at - 1, UpTo: at}) {
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(head, func(p eventstore.Parked) bool { return p.Event == ev.ID }) {
			in = append(in, l.parkedInput(&ev, key))
		}
	}
	return in, nil
}

// parkedInput is an event that was parked for a key. One whose keys could not be had was parked for its stream: it
// is handled for all its keys now, if they can be had.
func (l *lane) parkedInput(e *eventstore.Event, key string) Input {
	in := Input{Event: e, Keys: []string{key}}
	if l.shape.key == nil {
		return in
	}
	keys, err := l.shape.keys(e)
	if in.fault = err; err == nil && key == string(e.Stream) && len(keys) > 0 && !slices.Contains(keys, key) {
		in.Keys = keys
	}
	return in
}

// again is what is known of an event that is about to be tried again.
func (l *lane) again(head []eventstore.Parked, err error) []eventstore.Parked {
	tried := make([]eventstore.Parked, len(head))
	for i, p := range head {
		p = p.Clone()
		p.Partition, p.Attempts, p.Redriven = l.partition, p.Attempts+1, false
		p.Failures = append(p.Failures, failure(err))
		p.Failures = p.Failures[max(0, len(p.Failures)-keptFailures):]
		p.Due = l.due(p.Attempts, err)
		tried[i] = p
	}
	return tried
}

// failedAgain is what is known of an event that was tried again in vain.
func (l *lane) failedAgain(tried eventstore.Parked, err error) eventstore.Parked {
	p := tried.Clone()
	p.Failures[len(p.Failures)-1] = failure(err)
	p.Due = l.due(p.Attempts, err)
	return p
}

// unmarked takes away what would have the key tried again, from the entries behind its head.
func (l *lane) unmarked(key string, head []eventstore.Parked) (parks []eventstore.Parked) {
	for _, p := range l.quarantine.keys[key][len(head):] {
		if p.Redriven || !p.Due.IsZero() {
			p = p.Clone()
			p.Partition, p.Redriven, p.Due = l.partition, false, time.Time{}
			parks = append(parks, p)
		}
	}
	return parks
}

// due is when an event that has failed is tried again by itself; the zero time for never.
func (l *lane) due(attempts int, err error) time.Time {
	p := &l.consumer.Policy
	if p.OnError != ErrorNack || attempts >= p.MaxDeliveries || IsPark(err) {
		return time.Time{}
	}
	return time.Now().UTC().Add(p.Backoff.delay(attempts - p.Retry.Attempts + 1))
}

func (q *quarantine) putAll(all []eventstore.Parked) {
	for _, p := range all {
		q.put(p)
	}
}

// redriven accounts for a parked event that was tried again.
func (l *lane) redriven(ctx context.Context, w *work, c *eventstore.Commit, in []Input, tried []eventstore.Parked) {
	for _, p := range tried {
		l.quarantine.drop(p.Key, p.ID)
	}
	l.quarantine.putAll(c.Parks)
	l.consumer.emitted.Add(int64(appended(c)))
	l.engine.scheduled(c)
	l.engine.count(in)
	for i := range in {
		o := Observation{Step: EventRedriven, Event: in[i].Event, IDs: ids(c), Err: w.failureOf(in[i].ID)}
		if o.Err != nil {
			o.Step, o.IDs = setAside(c.Parks), nil
		}
		l.observe(ctx, o)
	}
	if len(in) == 0 {
		l.observe(ctx, Observation{Step: setAside(c.Parks), Err: fmt.Errorf("event at position %d: %w", tried[0].Position, w.err)})
	}
}

// setAside is the step of an event that was set aside, with its entries.
func setAside(parks []eventstore.Parked) Step {
	switch {
	case len(parks) == 0:
		return EventSkipped
	case !parks[0].Due.IsZero():
		return EventRetried
	default:
		return EventParked
	}
}
