package redis

import (
	"context"
	"math"
	"strconv"

	"github.com/necrostack/necrostack/eventstore"
)

// nothing reads the head alone.
func (s *source) nothing(ctx context.Context, c *chunk) error {
	p, err := s.b.pulse(ctx)
	c.head = p.Head
	return err
}

// place is the id of an entry of the log.
func place(p eventstore.Position) string { return strconv.FormatInt(int64(p), 10) + "-0" }

// scan reads the log as it stands, whatever of it is selected: there is an event at each position up to the head.
func (s *source) scan(ctx context.Context, c *chunk) error {
	if c.head < 0 {
		return s.begin(ctx, c)
	}
	c.places = make([]eventstore.Position, 0, c.rows)
	if s.backward {
		c.reached = max(c.upTo-eventstore.Position(c.rows), c.after) + 1
		c.more = c.reached > c.after+1
		for p := c.upTo; p >= c.reached; p-- {
			c.places = append(c.places, p)
		}
	} else {
		c.reached = min(c.after+eventstore.Position(c.rows), c.upTo)
		c.more = c.reached < c.upTo
		for p := c.after + 1; p <= c.reached; p++ {
			c.places = append(c.places, p)
		}
	}
	return s.readAt(ctx, c)
}

// begin is the first scan. The head is read before the log: what has come between the two is left out.
func (s *source) begin(ctx context.Context, c *chunk) error {
	upTo := c.upTo
	if upTo == 0 {
		upTo = math.MaxInt64
	}
	verb, from, to := "XRANGE", place(c.after+1), place(upTo)
	if s.backward {
		verb, from, to = "XREVRANGE", to, from
	}
	pipe := s.b.client.Pipeline()
	head := s.b.lastPulse(ctx, pipe)
	var log *span
	if c.after < upTo {
		log = s.b.pipeRange(ctx, pipe, verb, s.b.key("log"), from, to, "COUNT", c.rows)
	}
	_, _ = pipe.Exec(ctx)
	p, err := pulseOf(head)
	if err != nil {
		return err
	}
	c.head, c.upTo = p.Head, min(upTo, p.Head)
	if log == nil {
		return nil
	}
	n, err := log.len()
	if err != nil {
		return err
	}
	want, step := c.after+1, eventstore.Position(1)
	if s.backward {
		want, step = c.upTo, -1
	}
	gap := false
	err = log.each(&s.decoder, func(e *eventstore.Event) bool {
		if e.Position > c.head {
			return true
		}
		if gap = e.Position != want; gap {
			return false
		}
		c.reached, want = e.Position, want+step
		if s.selects(e) {
			c.take(e)
		}
		return true
	})
	rest := want > c.after && want <= c.upTo
	c.more = rest && n == c.rows
	if err == nil && (gap || rest && !c.more) {
		err = absent(want)
	}
	return err
}

// inlined is up to how many events the first look along indexes returns at once. For more, one more round trip takes less time than
// the script would for the events.
const inlined = 16

// find looks for positions along indexes, and reads the events there.
func (s *source) find(ctx context.Context, c *chunk) error {
	inline, backward := 0, 0
	if c.head < 0 {
		inline = inlined
	}
	if s.backward {
		backward = 1
	}
	var a arguments
	a.add(int64(c.after), int64(c.upTo), backward, c.rows, inline, len(s.items))
	a.items(s.items)
	reply, err := s.b.run(ctx, findScript, a.list...)
	if err != nil {
		return err
	}
	var r reader
	head, reached := r.position(r.item(reply, 0)), r.item(reply, 1)
	positions, entries := r.list(r.item(reply, 2)), r.list(r.item(reply, 3))
	if c.head < 0 && r.err == nil {
		c.head = head
		if c.upTo == 0 || c.upTo > head {
			c.upTo = head
		}
	}
	if c.more = reached != ""; c.more {
		c.reached = r.position(reached)
	}
	places := make([]eventstore.Position, len(positions))
	for i, p := range positions {
		places[i] = r.position(p)
	}
	for i := 0; i < len(entries) && r.err == nil; i++ {
		var e eventstore.Event
		if r.event(entries[i], &e); r.err == nil && (s.exact || s.query.Matches(&e)) {
			c.take(&e)
		}
	}
	if r.err != nil || len(places) == len(entries) {
		return r.err
	}
	c.places, c.exact = places[len(entries):], s.exact
	return s.readAt(ctx, c)
}

const (
	// near is how far apart positions may be to be read as one range, with what is between them: that costs less than a range of its own.
	near = 4
	// together is how many are at most: the client copies what comes again whenever it turns out to be longer.
	together = 32
)

// readAt reads the log at the places of a chunk. The last one is read by itself: see chunk.see.
func (s *source) readAt(ctx context.Context, c *chunk) error {
	pipe := s.b.client.Pipeline()
	verb := "XRANGE"
	if s.backward {
		verb = "XREVRANGE"
	}
	at := c.places
	for i := 0; i < len(at); {
		last := i
		for last+2 < len(at) && last-i+1 < together && max(at[last+1]-at[last], at[last]-at[last+1]) <= near {
			last++
		}
		c.spans = append(c.spans, s.b.pipeRange(ctx, pipe, verb, s.b.key("log"), place(at[i]), place(at[last])))
		i = last + 1
	}
	_, _ = pipe.Exec(ctx)
	for _, span := range c.spans {
		if _, err := span.len(); err != nil {
			return err
		}
	}
	return nil
}
