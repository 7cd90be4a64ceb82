package spine

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// wakeClock has the schedules looked at again if a commit has added one.
func (s *Spine) wakeClock(c *eventstore.Commit) {
	if e := s.engine.Load(); e != nil {
		e.scheduled(c)
	}
}

// scheduled wakes the clock if a commit has scheduled something for sooner than all that it knows.
func (e *engine) scheduled(c *eventstore.Commit) {
	soonest := e.soonest.Load()
	if slices.ContainsFunc(c.Schedules, func(s eventstore.Schedule) bool { return s.Due.UnixNano() < soonest }) {
		e.timers.Fire()
	}
}

// clock moves schedules that are due into the log.
func (e *engine) clock(ctx context.Context) {
	for ctx.Err() == nil {
		set := e.timers.Wait()
		e.soonest.Store(math.MaxInt64) // what is scheduled from here on may not be known
		fired, next, err := e.scheduler.Fire(ctx, fireBatch)
		if err != nil && ctx.Err() == nil {
			e.storeFailed(ctx, fmt.Errorf("fire schedules: %w", err))
		}
		if fired == fireBatch {
			continue
		}
		wait := clockPoll
		if !next.IsZero() {
			wait = max(min(wait, time.Until(next)), clockLeast)
			e.soonest.Store(next.UnixNano())
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-set:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

const (
	fireBatch  = 100
	clockLeast = 5 * time.Millisecond // if our clock is ahead of the store's
	clockPoll  = time.Second          // how often to look for schedules that others have made
)
