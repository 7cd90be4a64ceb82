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

type take func(ctx context.Context, b *memory.Backend, consumer string, t eventstore.Taking) ([]eventstore.Delivery, error)

// takes takes in another way.
func takes(take take) func(*memory.Backend) eventstore.Backend {
	return func(b *memory.Backend) eventstore.Backend { return flawedTake{b, take} }
}

// takenAs changes what is handed out.
func takenAs(change func(d *eventstore.Delivery)) func(*memory.Backend) eventstore.Backend {
	return takes(func(ctx context.Context, b *memory.Backend, consumer string, t eventstore.Taking) ([]eventstore.Delivery, error) {
		list, err := b.Take(ctx, consumer, t)
		for i := range list {
			change(&list[i])
		}
		return list, err
	})
}

type flawedTake struct {
	*memory.Backend
	take take
}

func (f flawedTake) Take(ctx context.Context, consumer string, t eventstore.Taking) ([]eventstore.Delivery, error) {
	return f.take(ctx, f.Backend, consumer, t)
}

// doubleTaking gives to one who comes at the same time what it has given to another.
type doubleTaking struct {
	*memory.Backend
	mu    sync.Mutex
	under int // who take just now
	last  []eventstore.Delivery
}

func (d *doubleTaking) Take(ctx context.Context, consumer string, t eventstore.Taking) ([]eventstore.Delivery, error) {
	d.mu.Lock()
	d.under++
	d.mu.Unlock()
	time.Sleep(50 * time.Microsecond) // the time that another statement takes
	list, err := d.Backend.Take(ctx, consumer, t)
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(list) > 0 {
		d.last = list
	} else if d.under > 1 {
		list = d.last
	}
	d.under--
	return list, err
}

// sharingFailures keeps the failures of a delivery where its holders have them.
type sharingFailures struct {
	*memory.Backend
	mu   sync.Mutex
	last map[uuid.UUID][]eventstore.Failure
}

func (s *sharingFailures) Take(ctx context.Context, consumer string, t eventstore.Taking) ([]eventstore.Delivery, error) {
	list, err := s.Backend.Take(ctx, consumer, t)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range list {
		d := &list[i]
		if n := len(d.Failures); n > 0 && n == len(s.last[d.ID])+1 {
			s.last[d.ID] = append(s.last[d.ID], d.Failures[n-1])
			d.Failures = s.last[d.ID]
		}
		s.last[d.ID] = d.Failures
	}
	return list, err
}

// countingFree does not count what somebody has.
type countingFree struct {
	*memory.Backend
	mu    sync.Mutex
	taken int
}

func (c *countingFree) Take(ctx context.Context, consumer string, t eventstore.Taking) ([]eventstore.Delivery, error) {
	list, err := c.Backend.Take(ctx, consumer, t)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken += len(list)
	return list, err
}

func (c *countingFree) Window(ctx context.Context, consumer string) (int, time.Time, error) {
	n, next, err := c.Backend.Window(ctx, consumer)
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(0, n-c.taken), next, err
}

// deliveringTwice takes what it has delivered before for something new.
type deliveringTwice struct {
	*memory.Backend
	mu  sync.Mutex
	ids map[uuid.UUID]bool
}

func (d *deliveringTwice) Commit(ctx context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	batch = slices.Clone(batch)
	for i := range batch {
		batch[i].Deliveries = slices.Clone(batch[i].Deliveries)
		for k := range batch[i].Deliveries {
			x := &batch[i].Deliveries[k]
			if d.ids[x.ID] {
				x.ID = newID()
			}
			d.ids[x.ID] = true
		}
	}
	return d.Backend.Commit(ctx, batch)
}
