package storetest

import (
	"math"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// badDeliveries are faults of what goes into windows, and of what comes out of them.
func badDeliveries() []fault {
	deliver := func(spoil func(d *eventstore.Delivery)) func(*eventstore.Commit) {
		return func(c *eventstore.Commit) { spoil(&c.Deliveries[0]) }
	}
	ack := func(spoil func(a *eventstore.Ack)) func(*eventstore.Commit) {
		return func(c *eventstore.Commit) { spoil(&c.Acks[0]) }
	}
	back := func(spoil func(r *eventstore.Return)) func(*eventstore.Commit) {
		return func(c *eventstore.Commit) { spoil(&c.Returns[0]) }
	}
	return []fault{
		{"a delivery without a checkpoint", "delivery 1: checkpoint", func(c *eventstore.Commit) { c.Checkpoints, c.Parks = nil, nil }},
		{"a delivery under another consumer's checkpoint", "delivery 1: checkpoint", deliver(func(d *eventstore.Delivery) { d.Consumer = "other" })},
		{"a delivery under an ack", "delivery 1: checkpoint", deliver(func(d *eventstore.Delivery) { d.Consumer = "settler" })},
		{"a delivery to nobody", "delivery 1: checkpoint", deliver(func(d *eventstore.Delivery) { d.Consumer = "" })},
		{"a second delivery without a checkpoint", "delivery 2: checkpoint", func(c *eventstore.Commit) { c.Deliveries = append(c.Deliveries, toDeliver("other", 1)) }},
		{"a delivery without an id", "delivery 1: id", deliver(func(d *eventstore.Delivery) { d.ID = uuid.Nil })},
		{"one delivery twice", "delivery 2: id", func(c *eventstore.Commit) { c.Deliveries = append(c.Deliveries, c.Deliveries[0]) }},
		{"a delivery of no position", "delivery 1: position", deliver(func(d *eventstore.Delivery) { d.Position = 0 })},
		{"a delivery of a negative position", "delivery 1: position", deliver(func(d *eventstore.Delivery) { d.Position = -1 })},
		{"a delivery of an absurd position", "delivery 1: position", deliver(func(d *eventstore.Delivery) { d.Position = 1 << 53 })},
		{"too many deliveries", "commit", func(c *eventstore.Commit) { c.Deliveries = make([]eventstore.Delivery, 10_001) }},

		{"an ack without an id", "ack 1: id", ack(func(a *eventstore.Ack) { a.ID = uuid.Nil })},
		{"an ack of no attempt", "ack 1: attempt", ack(func(a *eventstore.Ack) { a.Attempt = 0 })},
		{"an ack of a negative attempt", "ack 1: attempt", ack(func(a *eventstore.Ack) { a.Attempt = math.MinInt })},
		{"one ack twice", "ack 2: id", func(c *eventstore.Commit) { c.Acks = append(c.Acks, c.Acks[0]) }},
		{"an ack of what is delivered", "ack 1: id", func(c *eventstore.Commit) { c.Acks[0].ID = c.Deliveries[0].ID }},
		{"too many acks", "commit", func(c *eventstore.Commit) { c.Acks = make([]eventstore.Ack, 10_001) }},

		{"a return without an id", "return 1: id", back(func(r *eventstore.Return) { r.ID = uuid.Nil })},
		{"a return of no attempt", "return 1: attempt", back(func(r *eventstore.Return) { r.Attempt = 0 })},
		{"a return of what is acked", "return 1: id", func(c *eventstore.Commit) { c.Returns[0].ID = c.Acks[0].ID }},
		{"a return without a time", "return 1: due", back(func(r *eventstore.Return) { r.Due = time.Time{} })},
		{"a return before 1970", "return 1: due", back(func(r *eventstore.Return) { r.Due = time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC) })},
		{"a return in the far future", "return 1: due", back(func(r *eventstore.Return) { r.Due = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) })},
		{"a return for a reason that is too long", "return 1: failure", back(func(r *eventstore.Return) { r.Failure.Error = strings.Repeat("x", 4<<10+1) })},
		{"a return for a reason that is not UTF-8", "return 1: failure", back(func(r *eventstore.Return) { r.Failure.Error = "\xff" })},
		{"a return for a reason with a NUL", "return 1: failure", back(func(r *eventstore.Return) { r.Failure.Error = "\x00" })},
		{"a return that failed in the far future", "return 1: failure", back(func(r *eventstore.Return) { r.Failure.At = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) })},
		{"too many returns", "commit", func(c *eventstore.Commit) { c.Returns = make([]eventstore.Return, 10_001) }},
	}
}

func fullWindow(t *trial) {
	const many = 1000
	l := t.feeder(longName(1)[:240])
	c := delivering(l)
	for n := range many {
		c.Deliveries = append(c.Deliveries, toDeliver(l.Consumer, eventstore.Position(n+1)))
	}
	t.commit(t.store, c)
	got := t.take(t.another(), l.Consumer, 2*many)
	if len(got) != many {
		t.brokenNow("%d deliveries were there to take, and handed out were %d", many, len(got))
	}
	var settle eventstore.Commit
	for i, d := range got {
		if i%2 == 0 {
			settle.Acks = append(settle.Acks, acked(d))
			continue
		}
		back := returned(d, time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), strings.Repeat("ü", 2<<10))
		if i > 100 {
			back.Failure = eventstore.Failure{}
		}
		if i == 1 {
			back.Due = time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
		}
		settle.Returns = append(settle.Returns, back)
	}
	t.commit(t.store, settle)
	again := t.take(t.store, l.Consumer, 2*many)
	if len(again) != many/2-1 || again[0].Failures[0].Error != strings.Repeat("ü", 2<<10) {
		t.broken("of %d deliveries half were returned, one of them for the end of time; handed out again were %d", many, len(again))
	}
}
