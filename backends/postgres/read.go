package postgres

import (
	"context"
	"iter"
	"math"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/necrostack/necrostack/eventstore"
)

// Bounds of what one statement reads, so that no connection is held while events are handled, and memory is bounded: a
// reader keeps two chunks, the one that it yields and the one behind it. They grow as it reads on: between two, the server
// has nothing to do until the first is decoded.
const (
	firstRows = 1024
	moreRows  = 4 // times those of the chunk before
	mostRows  = 16384
	mostBytes = 8 << 20
)

// Read implements eventstore.Backend. The first statement finds the head in its own snapshot; the log up to there never
// changes, so the statements that follow see the same.
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
	s := b.source(q, r.Backward)
	c := &chunk{after: r.After, upTo: r.UpTo, left: r.Limit, rows: firstRows, head: -1}
	if r.UpTo == 0 {
		c.upTo = math.MaxInt64
	}
	if r.Limit == 0 {
		c.left = math.MaxInt
	}
	if err := b.fetch(ctx, s, c); err != nil {
		return 0, classify(err)
	}
	var free *chunk // its memory is used again
	for {
		next := c.next(r.Backward, free)
		var err error
		var fetched sync.WaitGroup
		if next != nil {
			fetched.Go(func() { err = b.fetch(ctx, s, next) })
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
			return c.head, nil
		}
		c, free = next, c
	}
}

// chunk is what one statement reads.
type chunk struct {
	after, upTo eventstore.Position
	left        int                 // events that are wanted yet, with those of the chunk
	rows        int                 // at most so many events
	head        eventstore.Position // of the first statement's snapshot; -1 before it
	events      []eventstore.Event
	bytes       int  // of payloads and metadata
	full        bool // it has been cut short: there is more
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

// next returns the chunk behind this one, to be fetched, or nil if there is none. It takes over the memory of another.
func (c *chunk) next(backward bool, used *chunk) *chunk {
	if !c.full || len(c.events) == 0 || c.left == len(c.events) {
		return nil
	}
	next := &chunk{after: c.after, upTo: c.upTo, left: c.left - len(c.events), head: c.head}
	if used != nil {
		clear(used.events)
		next.events = used.events[:0]
	}
	if last := c.events[len(c.events)-1].Position; backward {
		next.upTo = last - 1
	} else {
		next.after = last
	}
	if next.after >= next.upTo {
		return nil
	}
	next.rows = max(1, min(moreRows*c.rows, mostRows, mostBytes/max(1, c.bytes/len(c.events))))
	return next
}

// fetch reads a chunk.
func (b *Backend) fetch(ctx context.Context, s *source, c *chunk) error {
	conn, err := b.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	c.rows = min(c.rows, c.left)
	first := c.head < 0
	rows, err := conn.Query(ctx, s.statement(first), append([]any{
		pgx.QueryResultFormats{pgx.BinaryFormatCode}, int64(c.after), int64(c.upTo), c.rows,
	}, s.args...)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var d decoder
	for rows.Next() {
		values := rows.RawValues()
		if first {
			if c.head, err = d.position(values[0]); err != nil {
				return err
			}
			if values = values[1:]; values[0] == nil {
				continue // nothing but the head
			}
		}
		if n := len(c.events); n == cap(c.events) {
			c.events = slices.Grow(c.events, max(16, min(4*n, c.rows-n)))
		}
		c.events = append(c.events, eventstore.Event{})
		if err := d.event(values, &c.events[len(c.events)-1]); err != nil {
			return err
		}
		if c.bytes = d.bytes; c.bytes > 2*mostBytes && len(c.events) < c.rows {
			// What comes behind may be much, and would be read to be dropped: a new connection costs less.
			c.full = true
			return conn.Conn().Close(ctx)
		}
	}
	if first && c.upTo > c.head {
		c.upTo = c.head
	}
	c.full = len(c.events) == c.rows
	return rows.Err()
}
