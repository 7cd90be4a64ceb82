package redis

import (
	"context"
	"iter"
	"math"
	"slices"
	"sync"

	"github.com/necrostack/necrostack/eventstore"
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

// read returns the head, or -1 if yield has ended it. While a chunk is decoded and yielded, the next one is fetched.
func (b *Backend) read(ctx context.Context, q eventstore.Query, r eventstore.Range, yield func(eventstore.Event, error) bool) (eventstore.Position, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s := newSource(b, q, r.Backward)
	c := &chunk{after: r.After, upTo: r.UpTo, left: r.Limit, rows: firstRows, head: -1}
	if r.Limit == 0 {
		c.left = math.MaxInt
	}
	// Of a query that selects some of what is looked at, only decoding tells how many more are wanted.
	ahead := r.Limit == 0 || s.all || s.exact
	if err := s.fetch(ctx, c); err != nil {
		return 0, classify(err)
	}
	for {
		if err := c.see(&b.seen); err != nil {
			return 0, err
		}
		var next *chunk
		var err error
		var fetched sync.WaitGroup
		if ahead {
			if next = c.next(r.Backward, len(c.events)+len(c.places)); next != nil {
				fetched.Go(func() { err = s.fetch(ctx, next) })
			}
		}
		n, ended, fault := c.each(ctx, s, yield)
		fetched.Wait()
		if !ahead && !ended && fault == nil {
			if next = c.next(r.Backward, n); next != nil {
				err = s.fetch(ctx, next)
			}
		}
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

// source is where the events of a query are found: along the log, or along indexes. It is for one reader.
type source struct {
	b        *Backend
	query    eventstore.Query
	items    []eventstore.Item
	all      bool // whatever there is
	exact    bool // every event of the indexes is selected
	backward bool

	decoder decoder
}

// selects reports whether an event is one of those that are asked for.
func (s *source) selects(e *eventstore.Event) bool { return s.all || s.query.Matches(e) }

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
