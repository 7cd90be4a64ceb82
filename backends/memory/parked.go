package memory

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// park writes what a commit does with parked entries.
func (b *Backend) park(c *eventstore.Commit, now time.Time) {
	parked := make([]eventstore.Parked, len(c.Parks))
	for i, p := range c.Parks {
		p.At = now
		if known, ok := b.parked[p.ID]; ok {
			p.At = known.At
		}
		parked[i] = p
	}
	for _, id := range c.Unparks {
		if len(c.Checkpoints) == 0 {
			b.redriven(b.parked[id].Consumer)
		}
		delete(b.parked, id)
	}
	for _, p := range parked {
		b.parked[p.ID] = p
	}
	for _, id := range c.Redrives {
		if p, ok := b.parked[id]; ok {
			p.Redriven = true
			b.parked[id] = p
			b.redriven(p.Consumer)
		}
	}
}

// redriven tells the owners of a consumer that there is something to be done.
func (b *Backend) redriven(consumer string) {
	if c := b.consumers[consumer]; c != nil {
		c.redrives++
		b.changeRoster()
	}
}

// Parked implements eventstore.Parker.
func (b *Backend) Parked(_ context.Context, f eventstore.ParkedFilter) iter.Seq2[eventstore.Parked, error] {
	return func(yield func(eventstore.Parked, error) bool) {
		b.mu.RLock()
		all := slices.SortedFunc(maps.Values(b.parked), func(x, y eventstore.Parked) int {
			return cmp.Or(cmp.Compare(x.Position, y.Position), cmp.Compare(x.Key, y.Key), cmp.Compare(x.Consumer, y.Consumer))
		})
		b.mu.RUnlock()
		for _, p := range all {
			if f.Matches(&p) && !yield(p.Clone(), nil) {
				return
			}
		}
	}
}
