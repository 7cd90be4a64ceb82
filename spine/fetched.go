package spine

import (
	"context"
	"slices"

	"github.com/necrostack/necrostack/eventstore"
)

// nearby is how far apart events may be to be read together.
const nearby = 32

// events finds the events of what was taken: in what the feed has read, or else in the log, in one read of what is near each
// other. One that is missing is left to be read by itself: that is rare, and somebody else may have to know why.
func (t *team) events(ctx context.Context, taken []eventstore.Delivery) [][]Input {
	found := make([][]Input, len(taken))
	for i := 0; i < len(taken); {
		n := i + 1
		if c := t.feed.holding(taken[i].Position); c != nil {
			for n < len(taken) && taken[n].Position <= c.through {
				n++
			}
			t.kept(c, taken[i:n], found[i:n])
		} else {
			for n < len(taken) && taken[n].Position-taken[n-1].Position <= nearby {
				n++
			}
			if n > i+1 {
				t.read(ctx, taken[i:n], found[i:n])
			}
		}
		i = n
	}
	return found
}

// kept finds events in a chunk of the log.
func (t *team) kept(c *chunk, taken []eventstore.Delivery, found [][]Input) {
	at, _ := slices.BinarySearchFunc(c.events, taken[0].Position, func(e eventstore.Event, p eventstore.Position) int { return int(e.Position - p) })
	rest := c.events[at:]
	for i := range taken {
		for len(rest) > 0 && rest[0].Position < taken[i].Position {
			rest = rest[1:]
		}
		for k := 0; k < len(rest) && rest[k].Position == taken[i].Position; k++ {
			t.match(&rest[k], &taken[i], &found[i])
		}
	}
}

// read reads events, but no more than one chunk.
func (t *team) read(ctx context.Context, taken []eventstore.Delivery, found [][]Input) {
	bytes, next := 0, 0
	defer func() { clear(found[next:]) }() // what was read of an event in the middle of which it ended
	r := eventstore.Range{After: taken[0].Position - 1, UpTo: taken[len(taken)-1].Position}
	for e, err := range t.store.Read(ctx, t.Listens, r) {
		if err != nil {
			return // who misses its event will see
		}
		for next < len(taken) && taken[next].Position < e.Position {
			next++
		}
		for i := next; i < len(taken) && taken[i].Position == e.Position; i++ {
			t.match(&e, &taken[i], &found[i])
		}
		if bytes += len(e.Data); bytes > chunkBytes {
			return
		}
	}
	next = len(taken)
}

// match adds an event to what was found for a delivery, if it is the one that was delivered.
func (t *team) match(e *eventstore.Event, d *eventstore.Delivery, found *[]Input) {
	if (len(*found) > 0 || e.ID == d.Event) && t.Listens.Matches(e) {
		*found = append(*found, inputOf(e, d))
	}
}

// holding returns a chunk that holds a position, if there is one.
func (f *feed) holding(p eventstore.Position) *chunk {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.kept(p - 1)
}
