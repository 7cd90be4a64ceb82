package spine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// drainPoll is how often a Drain looks after the partitions that other processes work.
const drainPoll = 5 * time.Millisecond

// drain is what a Drain keeps beside its engine.
type drain struct {
	next time.Time // when the next schedule is due

	mu    sync.Mutex
	steps int
	types map[string]int // only of the last steps, which show the loop
}

// count counts events that were handled, and ends a Drain that does not end.
func (e *engine) count(in []Input) {
	d := e.drain
	if d == nil || e.cfg.MaxSteps < 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.steps += len(in)
	if d.steps > e.cfg.MaxSteps/2 {
		for i := range in {
			d.types[in[i].Type]++
		}
	}
	if d.steps > e.cfg.MaxSteps {
		e.fail(&LoopError{Steps: d.steps, Types: d.types})
	}
}

// uncount takes back the count of events that are to be handled again.
func (e *engine) uncount(n int) {
	d := e.drain
	if d == nil || e.cfg.MaxSteps < 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.steps -= n
}

// settleDrain reports whether nothing is left to do: the lanes are idle at the end of the log, nothing was
// due, and no partition is behind, whoever works it. It looks in the order in which one thing leads to another,
// and at last whether the log still ends where it began.
func (e *engine) settleDrain(ctx context.Context) bool {
	e.flushIdle(ctx, 0)
	e.drain.next = time.Time{}
	if e.scheduler != nil {
		fired, next, err := e.scheduler.Fire(ctx, fireBatch)
		if err != nil {
			e.storeFailed(ctx, err)
		}
		if err != nil || fired > 0 {
			return false
		}
		e.drain.next = next
	}
	end := e.feed.end()
	for _, c := range e.consumers {
		if done, err := e.settledAt(ctx, c, end); err != nil || !done {
			if err != nil {
				e.storeFailed(ctx, fmt.Errorf("organ %s: %w", c.Name, err))
			}
			return false
		}
	}
	head, err := e.store.Head(ctx)
	if err != nil {
		e.storeFailed(ctx, err)
	}
	return err == nil && head == end && e.feed.isQuiet() && e.allCaughtUp(ctx, end)
}

// settledAt reports whether a consumer has come to a position, or is paused, or can do nothing before something is
// due: it notes when that is.
func (e *engine) settledAt(ctx context.Context, c *consumer, end eventstore.Position) (bool, error) {
	r, err := e.leaser.Roster(ctx, c.Name)
	if err != nil || r.Paused {
		return r.Paused, err
	}
	s := e.shape(c)
	if s != nil && (s.until > 0 || s.generation != r.Generation) {
		return false, nil
	}
	if waits, err := e.parkedWait(ctx, c); err != nil || !waits {
		return false, err
	}
	if e.deliverer == nil {
		return r.Position() >= end, nil
	}
	before := e.service(c)
	if s != nil && before.over == s && !s.competing {
		return r.Position() >= end, nil
	}
	outstanding, next, err := e.deliverer.Window(ctx, c.Name)
	after := e.service(c)
	switch full := s != nil && s.competing && outstanding >= c.Policy.Window; {
	case err != nil || r.Position() < end && !full:
		return false, err
	case before.busy+after.busy > 0 || before.turns != after.turns:
		return false, nil
	case outstanding > 0 && !next.After(time.Now()):
		return false, nil
	case outstanding > 0:
		e.drain.due(next)
	}
	return true, nil
}

// parkedWait reports whether no parked event is to be tried now.
func (e *engine) parkedWait(ctx context.Context, c *consumer) (bool, error) {
	if e.parker == nil {
		return true, nil
	}
	var q quarantine
	for p, err := range e.parker.Parked(ctx, eventstore.ParkedFilter{Consumer: c.Name}) {
		if err != nil {
			return false, err
		}
		q.put(p)
	}
	_, now := q.next(time.Now())
	e.drain.due(q.dueNext())
	return !now, nil
}

// due notes when something is due.
func (d *drain) due(at time.Time) {
	if !at.IsZero() && (d.next.IsZero() || at.Before(d.next)) {
		d.next = at
	}
}

// end is the last position that was handed out.
func (f *feed) end() eventstore.Position {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tail
}

// isQuiet reports whether every lane waits at the end of the log.
func (f *feed) isQuiet() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.busy == 0
}

// onQuiet calls f once, as soon as every lane waits. If all do already, it returns true instead.
func (f *feed) onQuiet(call func()) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.quiet = call
	return f.busy == 0
}
