package redis

import (
	"context"
	"iter"
	"math"
	"slices"
	"sync"

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

// Read implements eventstore.Backend. The first call finds the head; the log up to there never changes, so the calls that follow
// see the same.
func (b *Backend) Read(ctx context.Context, q eventstore.Query, r eventstore.Range) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		through, err := b.read(ctx, q, r, yield)
		if err != nil {
			yield(eventstore.Event{}, err)
		} else if r.Through != nil && through >= 0 {
			*r.Through = through
		}
	}
}

// read returns the head, or -1 if yield has ended it. While a chunk is yielded, the next one is fetched.
func (b *Backend) read(ctx context.Context, q eventstore.Query, r eventstore.Range, yield func(eventstore.Event, error) bool) (eventstore.Position, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s := newSource(b, q, r.Backward)
	c := &chunk{after: r.After, upTo: r.UpTo, left: r.Limit, rows: firstRows, head: -1}
	if r.Limit == 0 {
		c.left = math.MaxInt
	}
	if err := s.fetch(ctx, c); err != nil {
		return 0, classify(err)
	}
	for {
		c.see(&b.seen)
		next := c.next(r.Backward)
		var err error
		var fetched sync.WaitGroup
		if next != nil {
			fetched.Go(func() { err = s.fetch(ctx, next) })
		}
		ended, fault := c.each(ctx, yield)
		fetched.Wait()
		switch {
		case fault != nil:
			return 0, fault
		case ended:
			return -1, nil
		case err != nil:
			return 0, classify(err)
		case next == nil:
			return c.head, ctx.Err()
		}
		c = next
	}
}

// chunk is what one call reads.
type chunk struct {
	after, upTo eventstore.Position
	left        int                 // events that are wanted yet, with those of the chunk
	rows        int                 // at most so many positions are looked at
	head        eventstore.Position // when the read began; -1 before that
	events      []eventstore.Event
	reached     eventstore.Position // how far it has looked, in the direction of the read
	more        bool                // there may be more beyond
	bytes       int
}

// each yields the events, and reports whether yield has ended that.
func (c *chunk) each(ctx context.Context, yield func(eventstore.Event, error) bool) (ended bool, err error) {
	for i := range c.events {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if !yield(c.events[i], nil) {
			return true, nil
		}
	}
	return false, nil
}

// next returns the chunk behind this one, to be fetched, or nil if there is none.
func (c *chunk) next(backward bool) *chunk {
	if !c.more || c.left <= len(c.events) {
		return nil
	}
	next := &chunk{after: c.after, upTo: c.upTo, left: c.left - len(c.events), head: c.head}
	if backward {
		next.upTo = c.reached - 1
	} else {
		next.after = c.reached
	}
	if next.after >= next.upTo {
		return nil
	}
	next.rows = min(moreRows*c.rows, mostRows)
	if n := len(c.events); n > 0 {
		next.rows = max(1, min(next.rows, mostBytes/(c.bytes/n)))
	}
	return next
}

// see remembers the latest event.
func (c *chunk) see(s *seen) {
	if n := len(c.events); n > 0 {
		e := &c.events[0]
		if c.events[n-1].Position > e.Position {
			e = &c.events[n-1]
		}
		s.note(mark{e.Position, e.ID})
	}
}

// short reports whether the chunk is so few positions that looking at them is less work than looking into indexes.
func (c *chunk) short() bool { return c.upTo > c.after && c.upTo-c.after <= fewRows }

// take keeps an event that the query selects, as long as more are wanted.
func (c *chunk) take(e eventstore.Event) {
	if len(c.events) < c.left {
		c.events, c.bytes = append(c.events, e), c.bytes+size(&e)
	}
}

// source is where the events of a query are found: along the log, or along indexes.
type source struct {
	b        *Backend
	query    eventstore.Query
	items    []eventstore.Item
	all      bool // whatever there is
	exact    bool // every event of the indexes is selected
	backward bool
}

func newSource(b *Backend, q eventstore.Query, backward bool) *source {
	s := &source{b: b, query: q, items: q.Items(), backward: backward}
	s.all = slices.ContainsFunc(s.items, func(it eventstore.Item) bool {
		return it.Stream == "" && it.Category == "" && len(it.Types)+len(it.Tags) == 0
	})
	s.exact = !slices.ContainsFunc(s.items, func(it eventstore.Item) bool { return !single(it) })
	return s
}

// single reports whether an item asks for one thing alone.
func single(it eventstore.Item) bool {
	n := min(1, len(it.Types)) + len(it.Tags)
	if it.Stream != "" {
		n++
	}
	if it.Category != "" {
		n++
	}
	return n == 1
}

// fetch reads a chunk.
func (s *source) fetch(ctx context.Context, c *chunk) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.b.sure(ctx); err != nil {
		return err
	}
	c.rows = min(c.rows, c.left)
	var err error
	switch {
	case len(s.items) == 0:
		err = s.nothing(ctx, c)
	case c.short():
		c.rows = int(c.upTo - c.after)
		err = s.scan(ctx, c)
	case s.all:
		err = s.scan(ctx, c)
	default:
		err = s.find(ctx, c)
	}
	if err == nil {
		err = s.b.sure(ctx) // by a new connection it may have been another log that was read
	}
	return err
}
