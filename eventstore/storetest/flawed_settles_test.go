package storetest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

// lenient settles a delivery whatever the attempt, or leaves out what is gone.
type lenient struct {
	*memory.Backend
	acks, gone bool

	mu       sync.Mutex
	attempts map[uuid.UUID]int // the last one of each delivery
}

func (l *lenient) Take(ctx context.Context, consumer string, t eventstore.Taking) ([]eventstore.Delivery, error) {
	list, err := l.Backend.Take(ctx, consumer, t)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range list {
		l.attempts[d.ID] = d.Attempt
	}
	return list, err
}

func (l *lenient) Commit(ctx context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	batch = slices.Clone(batch)
	for i := range batch {
		c := &batch[i]
		c.Acks, c.Returns = slices.Clone(c.Acks), slices.Clone(c.Returns)
		if l.gone {
			c.Acks = slices.DeleteFunc(c.Acks, func(a eventstore.Ack) bool { return l.attempts[a.ID] == 0 })
			c.Returns = slices.DeleteFunc(c.Returns, func(r eventstore.Return) bool { return l.attempts[r.ID] == 0 })
		}
		for k := range c.Acks {
			l.repair(&c.Acks[k], l.acks)
		}
		for k := range c.Returns {
			l.repair(&c.Returns[k].Ack, !l.acks && !l.gone)
		}
	}
	return l.Backend.Commit(ctx, batch)
}

func (l *lenient) repair(a *eventstore.Ack, forgets bool) {
	if last := l.attempts[a.ID]; forgets && a.Attempt < last {
		a.Attempt = last
	}
}

// hastyAcks decides before it has its turn whether a delivery is gone.
type hastyAcks struct {
	*memory.Backend
	mu   sync.Mutex
	gone map[uuid.UUID]bool
}

func (h *hastyAcks) Commit(ctx context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	h.mu.Lock()
	there := slices.Collect(func(yield func(uuid.UUID) bool) {
		for _, c := range batch {
			for _, a := range c.Acks {
				if !h.gone[a.ID] && !yield(a.ID) {
					return
				}
			}
		}
	})
	h.mu.Unlock()
	time.Sleep(50 * time.Microsecond) // the time until it has its turn
	h.mu.Lock()
	defer h.mu.Unlock()
	batch = slices.Clone(batch)
	for i := range batch {
		batch[i].Acks = slices.DeleteFunc(slices.Clone(batch[i].Acks), func(a eventstore.Ack) bool { return h.gone[a.ID] && slices.Contains(there, a.ID) })
	}
	outcomes, err := h.Backend.Commit(ctx, batch)
	for i, o := range outcomes {
		for _, a := range batch[i].Acks {
			h.gone[a.ID] = h.gone[a.ID] || o.Err == nil
		}
	}
	return outcomes, err
}

// settledFirst refuses what settles a delivery again, also if it is the same commit again.
type settledFirst struct {
	*memory.Backend
	mu      sync.Mutex
	settled map[eventstore.Ack]bool
}

func (s *settledFirst) Commit(ctx context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	outcomes := make([]eventstore.Outcome, len(batch))
	for i, c := range batch {
		acks := slices.Clone(c.Acks)
		for _, r := range c.Returns {
			acks = append(acks, r.Ack)
		}
		again := slices.IndexFunc(acks, func(a eventstore.Ack) bool { return s.settled[a] })
		if again >= 0 {
			outcomes[i].Err = &eventstore.FencedError{Entry: acks[again].ID, Reason: "it is settled"}
			continue
		}
		outcomes[i].Result, outcomes[i].Err = commitOne(ctx, s.Backend, c)
		for _, a := range acks {
			s.settled[a] = outcomes[i].Err == nil
		}
	}
	return outcomes, nil
}
