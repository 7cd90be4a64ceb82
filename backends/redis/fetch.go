package redis

import (
	"context"
	"math"
	"strconv"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/redis/go-redis/v9"
)

// nothing reads the head alone.
func (s *source) nothing(ctx context.Context, c *chunk) error {
	p, err := s.b.pulse(ctx)
	c.head = p.Head
	return err
}

// place is the id of an entry of the log.
func place(p eventstore.Position) string { return strconv.FormatInt(int64(p), 10) + "-0" }

// scan reads the log as it stands, whatever of it is selected. The head is read before it: what has come between the two is left out.
func (s *source) scan(ctx context.Context, c *chunk) error {
	upTo := c.upTo
	if upTo == 0 {
		upTo = math.MaxInt64
	}
	verb, from, to := "XRANGE", place(c.after+1), place(upTo)
	if s.backward {
		verb, from, to = "XREVRANGE", to, from
	}
	pipe := s.b.client.Pipeline()
	var head *redis.XMessageSliceCmd
	if c.head < 0 {
		head = s.b.lastPulse(ctx, pipe)
	}
	var events func(take func(eventstore.Event)) (int, error)
	if c.after < upTo {
		events = s.b.pipeRange(ctx, pipe, verb, s.b.key("log"), from, to, "COUNT", c.rows)
	}
	_, _ = pipe.Exec(ctx)
	if head != nil {
		p, err := pulseOf(head)
		if err != nil {
			return err
		}
		c.head = p.Head
		c.upTo = min(upTo, c.head)
	}
	if events == nil {
		return nil
	}
	n, err := events(func(e eventstore.Event) {
		c.reached = e.Position
		if e.Position <= c.head && (s.all || s.query.Matches(&e)) {
			c.take(e)
		}
	})
	c.more = n == c.rows && (s.backward || c.reached < c.upTo)
	return err
}

// inlined is how many events the first look along indexes returns at once.
const inlined = 128

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
	if r.err != nil {
		return r.err
	}
	take := func(e eventstore.Event) {
		if s.exact || s.query.Matches(&e) {
			c.take(e)
		}
	}
	for _, entry := range entries {
		var e eventstore.Event
		if r.event(entry, &e); r.err != nil {
			return r.err
		}
		take(e)
	}
	if len(places) == len(entries) {
		return nil
	}
	return s.b.eventsAt(ctx, places[len(entries):], take)
}

// near is how far apart positions may be to be read as one range, with what is between them: that costs less than a range of its own.
const near = 4

// eventsAt reads the log at positions, which are in order.
func (b *Backend) eventsAt(ctx context.Context, at []eventstore.Position, take func(eventstore.Event)) error {
	pipe := b.client.Pipeline()
	verb := "XRANGE"
	if len(at) > 1 && at[1] < at[0] {
		verb = "XREVRANGE"
	}
	var ranges []func(take func(eventstore.Event)) (int, error)
	for i := 0; i < len(at); {
		last := i
		for last+1 < len(at) && max(at[last+1]-at[last], at[last]-at[last+1]) <= near {
			last++
		}
		ranges = append(ranges, b.pipeRange(ctx, pipe, verb, b.key("log"), place(at[i]), place(at[last])))
		i = last + 1
	}
	_, _ = pipe.Exec(ctx)
	next := 0
	for _, events := range ranges {
		if _, err := events(func(e eventstore.Event) {
			if next < len(at) && e.Position == at[next] {
				take(e)
				next++
			}
		}); err != nil {
			return err
		}
	}
	return nil
}
