package memory

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// delivery is an event in a window.
type delivery struct {
	eventstore.Delivery

	due  time.Time // when it can be taken
	held bool      // its last attempt is neither done nor returned
}

// delivered finds a delivery.
func (b *Backend) delivered(consumer string, id uuid.UUID) *delivery {
	for _, d := range b.windows[consumer] {
		if d.ID == id {
			return d
		}
	}
	return nil
}

// holds checks that every delivery which a commit settles still is as it was handed out.
func (b *Backend) holds(c *eventstore.Commit) error {
	check := func(a eventstore.Ack) error {
		if d := b.delivered(a.Consumer, a.ID); d == nil || d.Attempt != a.Attempt || !d.held {
			return &eventstore.FencedError{Consumer: a.Consumer, Entry: a.ID, Reason: "it was handed out again, or is done"}
		}
		return nil
	}
	for _, a := range c.Acks {
		if err := check(a); err != nil {
			return err
		}
	}
	for _, r := range c.Returns {
		if err := check(r.Ack); err != nil {
			return err
		}
	}
	return nil
}

// deliver writes what a commit does with windows.
func (b *Backend) deliver(c *eventstore.Commit) {
	for _, a := range c.Acks {
		b.windows[a.Consumer] = slices.DeleteFunc(b.windows[a.Consumer], func(d *delivery) bool { return d.ID == a.ID })
	}
	for _, r := range c.Returns {
		d := b.delivered(r.Consumer, r.ID)
		d.held, d.due, d.Failures = false, r.Due, append(d.Failures, r.Failure)
		d.Failures = d.Failures[max(0, len(d.Failures)-keptFailures):]
	}
	for _, d := range c.Deliveries {
		if b.delivered(d.Consumer, d.ID) == nil {
			in := b.windows[d.Consumer]
			at, _ := slices.BinarySearchFunc(in, d.Position, func(x *delivery, p eventstore.Position) int { return int(x.Position - p) })
			b.windows[d.Consumer] = slices.Insert(in, at, &delivery{Delivery: d})
		}
	}
	if len(c.Deliveries)+len(c.Returns)+len(c.Acks) > 0 {
		b.window++
	}
}

// keptFailures is how many failures of a delivery are kept.
const keptFailures = 32

// Take implements eventstore.Deliverer.
func (b *Backend) Take(_ context.Context, consumer string, t eventstore.Taking) (taken []eventstore.Delivery, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.consumers[consumer]; c == nil || c.paused || t.Generation != 0 && t.Generation != c.Generation {
		return nil, nil
	}
	now, again := time.Now(), 0 // how many were handed out before
	for _, d := range b.windows[consumer] {
		if len(taken) == t.Limit+t.Ahead {
			break
		}
		if d.due.After(now) || d.Attempt > 0 && again == t.Limit {
			continue
		}
		if d.Attempt > 0 {
			again++
		}
		d.Attempt++
		d.held, d.due = true, now.Add(t.Visibility)
		taken = append(taken, d.Clone())
	}
	return taken, nil
}

// Window implements eventstore.Deliverer.
func (b *Backend) Window(_ context.Context, consumer string) (outstanding int, next time.Time, err error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	in := b.windows[consumer]
	for i, d := range in {
		due := d.due
		if due.IsZero() {
			due = time.Unix(0, 0).UTC()
		}
		if i == 0 || due.Before(next) {
			next = due
		}
	}
	return len(in), next, nil
}
