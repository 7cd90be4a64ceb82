package postgres

import (
	"context"
	"iter"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/necrostack/necrostack/eventstore"
)

// Bounds of what one statement reads, so that no connection is held while events are handled, and memory is bounded.
const (
	firstRows = 256
	mostRows  = 4096
	mostBytes = 4 << 20
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

// read returns the head, or -1 if yield has ended it.
func (b *Backend) read(ctx context.Context, q eventstore.Query, r eventstore.Range, yield func(eventstore.Event, error) bool) (eventstore.Position, error) {
	s := newSource(q, r.Backward)
	upTo := r.UpTo
	if upTo == 0 {
		upTo = math.MaxInt64
	}
	c := chunk{after: r.After, upTo: upTo, rows: firstRows, head: -1}
	left := r.Limit
	for {
		if r.Limit > 0 {
			c.rows = min(c.rows, left)
		}
		if err := b.fetch(ctx, s, &c); err != nil {
			return 0, classify(err)
		}
		for i := range c.events {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			if !yield(c.events[i], nil) {
				return -1, nil
			}
		}
		left -= len(c.events)
		if !c.next(r.Backward) || r.Limit > 0 && left == 0 {
			return c.head, nil
		}
	}
}

// chunk is what one statement reads.
type chunk struct {
	after, upTo eventstore.Position
	rows        int                 // at most so many events
	head        eventstore.Position // of the first statement's snapshot; -1 before it
	events      []eventstore.Event
	bytes       int  // of payloads and metadata
	full        bool // it has been cut short: there is more
}

// next prepares for the chunk behind this one, and reports whether there can be one.
func (c *chunk) next(backward bool) bool {
	if !c.full || len(c.events) == 0 {
		return false
	}
	if last := c.events[len(c.events)-1].Position; backward {
		c.upTo = last - 1
	} else {
		c.after = last
	}
	c.rows = max(1, min(mostRows, mostBytes/max(1, c.bytes/len(c.events))))
	return c.after < c.upTo
}

// fetch reads a chunk.
func (b *Backend) fetch(ctx context.Context, s *source, c *chunk) error {
	conn, err := b.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	first := c.head < 0
	rows, err := conn.Query(ctx, b.sql(s.statement(first)), append([]any{
		pgx.QueryResultFormats{pgx.BinaryFormatCode}, int64(c.after), int64(c.upTo), c.rows,
	}, s.args...)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	c.events, c.bytes = make([]eventstore.Event, 0, min(c.rows, firstRows)), 0
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
		c.events = append(c.events, eventstore.Event{})
		if err := d.event(values, &c.events[len(c.events)-1]); err != nil {
			return err
		}
		if c.bytes = d.bytes; c.bytes > mostBytes {
			c.full = true
			return nil // what comes behind is dropped unread
		}
	}
	if first && c.upTo > c.head {
		c.upTo = c.head
	}
	c.full = len(c.events) == c.rows
	return rows.Err()
}
