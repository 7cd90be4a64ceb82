package storetest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

// redefines redefines in another way.
func redefines(redefine func(ctx context.Context, b *memory.Backend, c eventstore.Consumer) (eventstore.Consumer, error)) func(*memory.Backend) eventstore.Backend {
	return func(b *memory.Backend) eventstore.Backend { return flawedRedefine{b, redefine} }
}

type flawedRedefine struct {
	*memory.Backend
	redefine func(ctx context.Context, b *memory.Backend, c eventstore.Consumer) (eventstore.Consumer, error)
}

func (f flawedRedefine) Redefine(ctx context.Context, c eventstore.Consumer) (eventstore.Consumer, error) {
	return f.redefine(ctx, f.Backend, c)
}

type echoing struct{ *memory.Backend }

func (e echoing) Define(ctx context.Context, c eventstore.Consumer) (eventstore.Consumer, error) {
	got, err := e.Backend.Define(ctx, c)
	c.Generation = got.Generation
	return c, err
}

type ageless struct{ *memory.Backend }

func (a ageless) Claim(ctx context.Context, member, consumer string, _ int64, partitions []int) ([]eventstore.Lease, error) {
	r, _ := a.Roster(ctx, consumer)
	return a.Backend.Claim(ctx, member, consumer, r.Generation, partitions)
}

// restarting counts epochs from a redefinition that changes the number of partitions.
type restarting struct {
	*memory.Backend
	mu   sync.Mutex
	base map[string]int64 // by consumer: what its epochs began with
}

func (r *restarting) Redefine(ctx context.Context, c eventstore.Consumer) (eventstore.Consumer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, _ := r.Roster(ctx, c.Name)
	got, err := r.Backend.Redefine(ctx, c)
	if err == nil && len(before.Partitions) != c.Partitions {
		after, _ := r.Roster(ctx, c.Name)
		r.base[c.Name] = after.Partitions[0].Epoch
	}
	return got, err
}

func (r *restarting) Commit(ctx context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	batch = slices.Clone(batch)
	for i := range batch {
		batch[i] = repaired(ctx, r.Backend, batch[i], func(x *eventstore.Checkpoint, _ eventstore.Partition) { x.Epoch += r.base[x.Consumer] })
	}
	return r.Backend.Commit(ctx, batch)
}

func (r *restarting) Claim(ctx context.Context, member, consumer string, generation int64, partitions []int) ([]eventstore.Lease, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	leases, err := r.Backend.Claim(ctx, member, consumer, generation, partitions)
	for i := range leases {
		leases[i].Epoch -= r.base[consumer]
	}
	return leases, err
}

// remembering renews its members by itself when a consumer is redefined.
type remembering struct {
	*memory.Backend
	mu      sync.Mutex
	members map[string]eventstore.Member
}

func (r *remembering) Renew(ctx context.Context, m eventstore.Member, ttl time.Duration) ([]eventstore.Roster, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members[m.ID] = m
	return r.Backend.Renew(ctx, m, ttl)
}

func (r *remembering) Redefine(ctx context.Context, c eventstore.Consumer) (eventstore.Consumer, error) {
	got, err := r.Backend.Redefine(ctx, c)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.members {
		_, _ = r.Backend.Renew(ctx, m, long)
	}
	return got, err
}

// sharing gives every caller the same slices.
type sharing struct {
	*memory.Backend
	mu   sync.Mutex
	last map[string]eventstore.Consumer
}

func (s *sharing) Define(ctx context.Context, c eventstore.Consumer) (eventstore.Consumer, error) {
	got, err := s.Backend.Define(ctx, c)
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := s.last[got.Name]; err == nil && last.Generation == got.Generation {
		return last, nil
	}
	s.last[got.Name] = got
	return got, err
}
