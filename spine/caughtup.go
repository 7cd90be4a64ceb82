package spine

import (
	"context"
	"fmt"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// How often a consumer is looked at that has not caught up: at first, and later.
const (
	approachFirst = 10 * time.Millisecond
	approachMost  = 500 * time.Millisecond
)

// watch tells a consumer each time it has caught up, after lanes of it were started here, until ctx ends.
func (e *engine) watch(ctx context.Context, c *consumer) {
	for ctx.Err() == nil {
		started := c.started.Wait()
		if len(e.lanesOf(c)) > 0 && !e.approach(ctx, c) {
			return
		}
		select {
		case <-started:
		case <-ctx.Done():
		}
	}
}

// approach looks at a consumer until it stands where the head was at the look before, so whoever goes on writing does not
// keep it behind for ever; and tells it. It returns false if ctx ends before that.
func (e *engine) approach(ctx context.Context, c *consumer) bool {
	before, delay := eventstore.Position(-1), approachFirst
	for pause(ctx, delay) {
		head, err := e.store.Head(ctx)
		var r eventstore.Roster
		if err == nil {
			r, err = e.leaser.Roster(ctx, c.Name)
		}
		if err == nil && before >= 0 && !r.Paused && r.Position() >= before {
			if err = c.CaughtUp(ctx); err == nil {
				return true
			}
		}
		if err != nil && ctx.Err() == nil {
			e.storeFailed(ctx, fmt.Errorf("organ %s: caught up: %w", c.Name, err))
		}
		before, delay = head, min(delay*3/2, approachMost)
	}
	return false
}

// allCaughtUp tells all consumers that stand at the end of the log, and reports whether that worked.
func (e *engine) allCaughtUp(ctx context.Context, end eventstore.Position) bool {
	for _, c := range e.consumers {
		if c.CaughtUp == nil {
			continue
		}
		r, err := e.leaser.Roster(ctx, c.Name)
		if err == nil && !r.Paused && r.Position() >= end {
			err = c.CaughtUp(ctx)
		}
		if err != nil {
			e.storeFailed(ctx, fmt.Errorf("organ %s: caught up: %w", c.Name, err))
			return false
		}
	}
	return true
}
