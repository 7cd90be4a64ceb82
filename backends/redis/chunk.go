package redis

import (
	"cmp"
	"context"
	"fmt"

	"github.com/necrostack/necrostack/eventstore"
)

// Bounds of what one call reads, so that the server is not kept for long, and memory is bounded: a reader keeps two chunks, the
// one that it yields and the one behind it.
const (
	fewRows   = 16
	firstRows = 128
	moreRows  = 4 // times those of the chunk before
	mostRows  = 2048
	mostBytes = 4 << 20
)

// chunk is what one call reads. A first chunk is decoded when it comes; of all others it is known how much they have, and what the
// last of it is, and they are decoded while the next one is fetched.
type chunk struct {
	after, upTo eventstore.Position
	left        int                 // events that are wanted yet, with those of the chunk
	rows        int                 // at most so many positions are looked at
	head        eventstore.Position // when the read began; -1 before that

	events  []eventstore.Event    // what is decoded
	spans   []*span               // what is not
	places  []eventstore.Position // what of the spans is looked at, in order
	exact   bool                  // every event there is selected
	reached eventstore.Position   // how far it has looked, in the direction of the read
	more    bool                  // there may be more beyond
}

// next returns the chunk behind this one, to be fetched, or nil if there is none. n is how many events this one has.
func (c *chunk) next(backward bool, n int) *chunk {
	if !c.more || c.left <= n {
		return nil
	}
	next := &chunk{after: c.after, upTo: c.upTo, left: c.left - n, head: c.head}
	if backward {
		next.upTo = c.reached - 1
	} else {
		next.after = c.reached
	}
	if next.after >= next.upTo {
		return nil
	}
	next.rows = min(moreRows*c.rows, mostRows)
	if n := len(c.events) + len(c.places); n > 0 {
		next.rows = max(1, min(next.rows, mostBytes/max(1, c.bytes()/n)))
	}
	return next
}

// bytes is about how many there are.
func (c *chunk) bytes() (n int) {
	for i := range c.events {
		n += size(&c.events[i])
	}
	for _, s := range c.spans {
		n += s.bytes()
	}
	return n
}

// short reports whether the chunk is so few positions that looking at them is less work than looking into indexes.
func (c *chunk) short() bool { return c.upTo > c.after && c.upTo-c.after <= fewRows }

// take keeps an event that the query selects, as long as more are wanted.
func (c *chunk) take(e *eventstore.Event) {
	if len(c.events) < c.left {
		c.events = append(c.events, *e)
	}
}

// see remembers the latest event. The last one of spans is a span of its own; in a read backward, what was seen first is the latest.
func (c *chunk) see(s *seen) error {
	if n := len(c.events); n > 0 {
		e := &c.events[0]
		if c.events[n-1].Position > e.Position {
			e = &c.events[n-1]
		}
		s.note(mark{e.Position, e.ID})
	}
	if len(c.spans) == 0 {
		return nil
	}
	var d decoder
	return c.spans[len(c.spans)-1].each(&d, func(e *eventstore.Event) bool {
		s.note(mark{e.Position, e.ID})
		return true
	})
}

// each decodes and yields the events, and returns how many they were and whether yield has ended that.
func (c *chunk) each(ctx context.Context, s *source, yield func(eventstore.Event, error) bool) (n int, ended bool, err error) {
	give := func(e *eventstore.Event) bool {
		if err = ctx.Err(); err == nil {
			ended = !yield(*e, nil)
		}
		n++
		return err == nil && !ended && n < c.left
	}
	for i := range c.events {
		if !give(&c.events[i]) {
			return n, ended, err
		}
	}
	at := 0
	for _, span := range c.spans {
		whole := true
		fault := span.each(&s.decoder, func(e *eventstore.Event) bool {
			if at == len(c.places) || e.Position != c.places[at] { // it is between those that are looked at
				return true
			}
			at++
			if c.exact || s.selects(e) {
				whole = give(e)
			}
			return whole
		})
		if fault != nil || !whole {
			return n, ended, cmp.Or(fault, err)
		}
	}
	if at < len(c.places) {
		return n, false, absent(c.places[at])
	}
	return n, false, nil
}

func absent(p eventstore.Position) error {
	return fmt.Errorf("the log is damaged: there is no event at position %d", p)
}
