package spine

import (
	"context"
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

// settleDrain reports whether nothing is left to do: the lanes are idle at the end of the log, nothing was
// due, and no partition is behind, whoever works it.
func (e *engine) settleDrain(ctx context.Context) bool {
	e.flushIdle(ctx)
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
		r, err := e.leaser.Roster(ctx, c.Name)
		if err != nil {
			e.storeFailed(ctx, err)
		}
		if err != nil || r.Position() < end {
			return false
		}
	}
	return true
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
