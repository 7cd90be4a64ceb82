package spine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/partition"
)

// lane is one partition of a consumer, while it is ours.
type lane struct {
	engine    *engine
	consumer  *consumer
	shape     *shape
	partition int
	epoch     int64
	stop      context.CancelFunc // take up no more events
	wake      chan struct{}      // the feed has something for it
	nudge     chan struct{}      // somebody else has

	// Under feed.mu.
	readTo     eventstore.Position // everything up to there was handed to it
	owes       bool                // not quite: some of it is still to be parked
	idle       bool                // and done: it looks for more
	checkpoint eventstore.Position
	moving     bool      // another's commit carries its checkpoint
	lost       bool      // it is somebody else's now
	since      time.Time // when the oldest event was committed that it works on; zero: on none

	// The lane's own.
	worker     *worker // runs its handlers; nil: to be made
	quarantine quarantine
	gathering  gathering
	got        int                             // so many events it was last handed at once
	conflicts  int                             // in a row
	singly     int                             // so many events go into commits of their own: they were refused together
	first      bool                            // nothing has yet gone wrong with what is handled now
	careful    int                             // so many are handled singly, and each attempt is committed before it is made
	trials     map[uuid.UUID]eventstore.Parked // those attempts, by the entries that they are kept in
	spilled    []eventstore.Parked             // to be parked with the next commit: their outputs are in the local file
}

// run works the lane until ctx ends or the lease is lost. What is under way is finished first, unless the
// context named work ends too.
func (l *lane) run(ctx, work context.Context) {
	defer func() {
		if l.worker != nil {
			close(l.worker.jobs)
		}
	}()
	defer func() {
		if l.gathering.events > 0 && work.Err() == nil {
			l.commitGathered(work, nil)
		}
	}()
	l.quarantine.outdate()
	for ctx.Err() == nil {
		if err := l.loadParked(ctx); err != nil {
			if ctx.Err() == nil {
				l.engine.storeFailed(work, fmt.Errorf("load parked events: %w", err))
				pause(ctx, storePause)
			}
			continue
		}
		if !l.plainly(work) || !l.parkSpilled(work) {
			return
		}
		if key, due := l.quarantine.next(time.Now()); due && len(l.spilled) == 0 && !l.redrive(ctx, work, key) {
			return
		}
		l.quarantine.next(time.Now()) // so that the feed knows when to come back
		l.comeBack()
		in, through, err := l.engine.feed.next(ctx, l)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			l.engine.storeFailed(work, err)
			pause(ctx, storePause)
		case l.shape.competing && !l.feed(ctx, work, in, through):
			return
		case !l.shape.competing && !l.work(ctx, work, in, through):
			return
		}
	}
}

// work gathers events, or handles them. What is gathered already goes on being so, whatever other lanes have done meanwhile.
func (l *lane) work(ctx, work context.Context, in []Input, through eventstore.Position) bool {
	if l.gathering.now || l.gathers() {
		return l.gather(ctx, work, in, through)
	}
	return l.process(ctx, work, in, through)
}

// reload has the lane look at its parked events anew.
func (l *lane) reload() {
	l.quarantine.outdate()
	select {
	case l.nudge <- struct{}{}:
	default:
	}
}

// loadParked reads the parked entries of the lane's keys, if others may have changed them. Those of events that
// the lane has not passed are attempts which have killed their process.
func (l *lane) loadParked(ctx context.Context) error {
	if l.engine.parker == nil || !l.quarantine.refreshed() {
		return nil
	}
	if err := l.engine.spill.passed(l); err != nil {
		return err
	}
	l.quarantine.keys, l.trials = nil, nil
	l.quarantine.putAll(l.spilled)
	passed := l.engine.feed.checkpointOf(l)
	for p, err := range l.engine.parker.Parked(ctx, eventstore.ParkedFilter{Consumer: l.consumer.Name}) {
		switch {
		case err != nil:
			l.quarantine.outdate()
			return err
		case partition.Of(p.Key, l.shape.partitions) != l.partition:
		case p.Position > passed:
			l.note(p)
		default:
			l.quarantine.put(p)
		}
	}
	return nil
}

// look reads the parked entries now, for one of them is gone. It reports false if it cannot.
func (l *lane) look(ctx context.Context) bool {
	l.quarantine.outdate()
	err := l.loadParked(ctx)
	if err != nil && ctx.Err() == nil {
		l.engine.storeFailed(ctx, fmt.Errorf("load parked events: %w", err))
	}
	return err == nil
}

// pause sleeps, and reports whether there is a reason to go on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// process handles the events that are all there is for the lane through a position. It reports false when
// the lane is over.
func (l *lane) process(ctx, work context.Context, in []Input, through eventstore.Position) bool {
	if l.engine.observed(work) {
		for i := range in {
			l.observe(work, Observation{Step: EventReceived, Event: in[i].Event})
		}
	}
	var t tries // at in[0]
	for len(in) > 0 {
		if work.Err() != nil || ctx.Err() != nil && (t.err == nil || isFinal(t.err)) {
			return false
		}
		w, ok := l.step(work, in, &t)
		if !ok {
			continue
		}
		err := l.commit(work, &w, in, through)
		switch {
		case err == nil:
			in, t, l.conflicts, l.singly = in[w.done:], tries{}, 0, max(l.singly-w.done, 0)
			l.careful = max(l.careful-w.done, 0)
			if w.err != nil {
				t.failed(w.err)
			}
		case (errors.Is(err, eventstore.ErrConflict) || isGone(err)) && l.conflicts < l.engine.cfg.Conflicts:
			if isGone(err) && !l.look(work) {
				return false
			}
			l.conflicts++
			l.consumer.conflicted.Add(1)
			if l.conflicts > 1 { // less is sooner written than more
				l.singly = max(l.singly, w.done)
			}
			pause(work, jitter(time.Millisecond<<min(l.conflicts, 8)))
		case errors.Is(err, errSpill):
			if err := l.spill(work, &w, in, err); err != nil {
				l.engine.fail(fmt.Errorf("organ %s: %w", l.consumer.Name, err))
				return false
			}
			in, t = in[w.done:], tries{}
			if w.err != nil {
				t.failed(w.err)
			}
		case !isRefusal(err) && !errors.Is(err, eventstore.ErrConflict) && !isGone(err):
			return false
		case w.done > whole(in):
			l.singly = w.done
		case l.spent(&t): // and so without output
			l.engine.fail(fmt.Errorf("organ %s: set the event at position %d aside: %w", l.consumer.Name, in[0].Position, err))
			return false
		default: // what the handler made of this one event is at fault
			l.consumer.failed.Add(1)
			t.failed(err)
			t.final, l.conflicts = true, 0
		}
	}
	return true
}

// tries are the failed attempts at an event.
type tries struct {
	failures []eventstore.Failure
	err      error // of the last one
	final    bool  // another would not help
	apart    bool  // it was tried for each of its keys by itself
}

func (t *tries) failed(err error) {
	t.failures, t.err = append(t.failures, failure(err)), err
	t.final = errors.Is(err, ErrDeadline)
}

// spent reports whether an event has had all its attempts.
func (l *lane) spent(t *tries) bool {
	return t.err != nil && (t.final || len(t.failures) >= l.consumer.Policy.Retry.Attempts)
}

// step handles events, or decides what becomes of one that cannot be handled. It reports false if there is
// nothing to commit.
func (l *lane) step(ctx context.Context, in []Input, t *tries) (w work, ok bool) {
	if l.spent(t) {
		if l.separable(in, t) {
			return l.handleApart(ctx, in[0], t), true
		}
		return l.giveUp(in, t.failures, t.err), true
	}
	if t.err != nil && !pause(ctx, l.consumer.Policy.Retry.delay(len(t.failures))) {
		return w, false
	}
	if l.careful > 0 {
		if err := l.announce(ctx, in[:whole(in)], t); err != nil || t.err != nil && t.final {
			return w, false
		}
	}
	if w = l.try(ctx, in, len(t.failures)+1); w.done == 0 {
		t.failed(w.err)
	}
	return w, w.done > 0
}

// isRefusal reports whether a commit was refused for what is in it.
func isRefusal(err error) bool {
	return errors.Is(err, eventstore.ErrInvalid) || errors.Is(err, eventstore.ErrIDReused) || errors.Is(err, eventstore.ErrRefused)
}

func failure(err error) eventstore.Failure {
	return eventstore.Failure{At: time.Now().UTC(), Error: shorten(err)}
}

// whole is how many inputs at the front are parts of one stored event, which cannot be committed apart.
func whole(in []Input) int {
	n := 1
	for n < len(in) && in[n].Position == in[0].Position {
		n++
	}
	return n
}

// try handles as many events as go into one commit. If it has done none, it says why.
func (l *lane) try(ctx context.Context, in []Input, number int) (w work) {
	most := l.consumer.most()
	if number > 1 || l.singly+l.careful > 0 {
		most = 1
	}
	if n := l.ready(in, most); n > 0 {
		l.first = number == 1 && l.conflicts+l.singly+l.careful == 0
		w = l.attempt(ctx, in[:n], number)
		l.first = false
	} else {
		w = l.behind(ctx, in[:whole(in)], number)
	}
	l.consumer.failed.Add(int64(w.failures()))
	return w
}

// ready counts the events at the front that may be handled together: none of their keys waits.
func (l *lane) ready(in []Input, most int) (n int) {
	for n < len(in) && (n == 0 || n < most) {
		end := n + whole(in[n:])
		if (len(l.quarantine.keys) > 0 || l.engine.spill.any()) && slices.ContainsFunc(in[n:end], l.waits) {
			break
		}
		n = end
	}
	return n
}

func (l *lane) waits(in Input) bool {
	return slices.ContainsFunc(keysOf(&in), func(key string) bool {
		_, spilled := l.engine.spill.waiting(parkedID(l.consumer.Name, key, &in))
		return spilled || l.quarantine.has(key)
	})
}

// behind handles one event, some of whose keys have parked events already: for those it is parked behind
// them, for the others it is handled.
func (l *lane) behind(ctx context.Context, group []Input, number int) (w work) {
	var free []Input
	var parks []eventstore.Parked
	for i := range group {
		one := group[i]
		one.Keys = nil
		for _, k := range keysOf(&group[i]) {
			p, spilled := l.engine.spill.waiting(parkedID(l.consumer.Name, k, &group[i]))
			switch {
			case spilled:
				p.Partition = l.partition
				parks = append(parks, p)
			case l.quarantine.has(k):
				parks = append(parks, l.entry(&group[i], k, nil))
			default:
				one.Keys = append(one.Keys, k)
			}
		}
		if len(one.Keys) > 0 {
			free = append(free, one)
		}
	}
	if len(free) > 0 {
		if w = l.attempt(ctx, free, number); w.done == 0 {
			return w
		}
	}
	w.done, w.parks = len(group), append(w.parks, parks...)
	return w
}

// giveUp is what becomes of an event that cannot be handled: its policy decides.
func (l *lane) giveUp(in []Input, fails []eventstore.Failure, err error) (w work) {
	w.done = whole(in)
	for i := range in[:w.done] {
		w.set(l, &in[i], fails, err)
	}
	for i := range w.parks {
		if p := &w.parks[i]; l.quarantine.has(p.Key) { // not tried for this key: it waits
			p.Attempts, p.Failures, p.Due = 0, nil, time.Time{}
		}
	}
	return w
}

// keptFailures is how many of its failures, the last ones, a parked entry holds.
const keptFailures = 32

// entry is an event as it is parked for a key.
func (l *lane) entry(in *Input, key string, fails []eventstore.Failure) eventstore.Parked {
	return eventstore.Parked{
		ID: parkedID(l.consumer.Name, key, in), Consumer: l.consumer.Name, Partition: l.partition, Key: key,
		Position: in.Position, Event: in.ID, Attempts: len(fails), Failures: fails[max(0, len(fails)-keptFailures):],
	}
}

func (l *lane) observe(ctx context.Context, o Observation) {
	o.Organ, o.Partition = l.consumer.Name, l.partition
	l.engine.observe.tell(ctx, o)
}
