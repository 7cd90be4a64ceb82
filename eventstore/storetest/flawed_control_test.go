package storetest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

// controlling pauses and resets in another way.
type controlling struct {
	*memory.Backend
	pause func(ctx context.Context, consumer string, paused bool) error
	reset func(ctx context.Context, consumer string, to eventstore.Position) error
}

func (c controlling) Pause(ctx context.Context, consumer string, paused bool) error {
	if c.pause == nil {
		return c.Backend.Pause(ctx, consumer, paused)
	}
	return c.pause(ctx, consumer, paused)
}

func (c controlling) Reset(ctx context.Context, consumer string, to eventstore.Position) error {
	if c.reset == nil {
		return c.Backend.Reset(ctx, consumer, to)
	}
	return c.reset(ctx, consumer, to)
}

func resets(reset func(ctx context.Context, b *memory.Backend, consumer string, to eventstore.Position) error) func(*memory.Backend) eventstore.Backend {
	return func(b *memory.Backend) eventstore.Backend {
		return controlling{Backend: b, reset: func(ctx context.Context, consumer string, to eventstore.Position) error {
			return reset(ctx, b, consumer, to)
		}}
	}
}

func entriesIn(ctx context.Context, b *memory.Backend, consumer string) (list []eventstore.Parked) {
	for p, err := range b.Parked(ctx, eventstore.ParkedFilter{Consumer: consumer}) {
		if err == nil {
			list = append(list, p)
		}
	}
	return list
}

// forgiving takes the checkpoints of owners whose epoch is over, if it is over by one of these.
type forgiving struct {
	*memory.Backend
	pauses, resets, redefines bool

	mu       sync.Mutex
	forgiven []string // consumers
}

func (f *forgiving) forgive(consumer string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forgiven = append(f.forgiven, consumer)
}

func (f *forgiving) Commit(ctx context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	batch = slices.Clone(batch)
	for i := range batch {
		batch[i] = repaired(ctx, f.Backend, batch[i], func(x *eventstore.Checkpoint, p eventstore.Partition) {
			if slices.Contains(f.forgiven, x.Consumer) {
				x.Epoch = p.Epoch
			}
		})
	}
	return f.Backend.Commit(ctx, batch)
}

func (f *forgiving) Pause(ctx context.Context, consumer string, paused bool) error {
	if f.pauses {
		f.forgive(consumer)
	}
	return f.Backend.Pause(ctx, consumer, paused)
}

func (f *forgiving) Reset(ctx context.Context, consumer string, to eventstore.Position) error {
	if f.resets {
		f.forgive(consumer)
	}
	return f.Backend.Reset(ctx, consumer, to)
}

func (f *forgiving) Redefine(ctx context.Context, c eventstore.Consumer) (eventstore.Consumer, error) {
	if f.redefines {
		f.forgive(c.Name)
	}
	return f.Backend.Redefine(ctx, c)
}

// unstoppable fences who is paused, and says so, but goes on.
type unstoppable struct {
	*memory.Backend
	mu     sync.Mutex
	paused map[string]bool
}

func (u *unstoppable) Pause(ctx context.Context, consumer string, paused bool) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.paused[consumer] = paused
	if err := u.Backend.Pause(ctx, consumer, true); err != nil {
		return err
	}
	return u.Backend.Pause(ctx, consumer, false)
}

func (u *unstoppable) Roster(ctx context.Context, consumer string) (eventstore.Roster, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	r, err := u.Backend.Roster(ctx, consumer)
	r.Paused = u.paused[consumer]
	return r, err
}

func (u *unstoppable) Renew(ctx context.Context, m eventstore.Member, ttl time.Duration) ([]eventstore.Roster, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	rosters, err := u.Backend.Renew(ctx, m, ttl)
	for i := range rosters {
		rosters[i].Paused = u.paused[rosters[i].Consumer]
	}
	return rosters, err
}

// redelivering puts back into a window whatever a reset took out of it.
type redelivering struct {
	*memory.Backend
	mu   sync.Mutex
	sent []eventstore.Delivery
}

func (r *redelivering) Commit(ctx context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range batch {
		r.sent = append(r.sent, c.Deliveries...)
	}
	return r.Backend.Commit(ctx, batch)
}

func (r *redelivering) Reset(ctx context.Context, consumer string, to eventstore.Position) error {
	err := r.Backend.Reset(ctx, consumer, to)
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = commitOne(ctx, r.Backend, eventstore.Commit{Deliveries: slices.Clone(r.sent)})
	return err
}

type backToFront struct{ *memory.Backend }

func (b backToFront) Consumers(ctx context.Context) ([]eventstore.Consumer, error) {
	all, err := b.Backend.Consumers(ctx)
	slices.Reverse(all)
	return all, err
}

// sharedList gives every caller the same list.
type sharedList struct {
	*memory.Backend
	mu   sync.Mutex
	list []eventstore.Consumer
}

func (s *sharedList) Consumers(ctx context.Context) ([]eventstore.Consumer, error) {
	all, err := s.Backend.Consumers(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) != len(all) {
		s.list = all
	}
	return s.list, err
}

type pulseless struct{ *memory.Backend }

func (p pulseless) Wait(ctx context.Context, seen eventstore.Pulse) (eventstore.Pulse, error) {
	now, err := p.Backend.Wait(ctx, seen)
	now.Roster = 0
	return now, err
}

type unmoved struct{ *memory.Backend }

func (u unmoved) Claim(ctx context.Context, member, consumer string, generation int64, partitions []int) ([]eventstore.Lease, error) {
	leases, err := u.Backend.Claim(ctx, member, consumer, generation, partitions)
	for i := range leases {
		leases[i].Lost = 0
	}
	return leases, err
}

// unforgetting remembers who has ever owned a partition of a consumer.
type unforgetting struct {
	*memory.Backend
	mu     sync.Mutex
	owners map[string][]string
}

func (u *unforgetting) Claim(ctx context.Context, member, consumer string, generation int64, partitions []int) ([]eventstore.Lease, error) {
	leases, err := u.Backend.Claim(ctx, member, consumer, generation, partitions)
	u.mu.Lock()
	defer u.mu.Unlock()
	for i := range leases {
		others := slices.DeleteFunc(slices.Clone(u.owners[consumer]), func(s string) bool { return s == member })
		leases[i].Lost = len(others)
	}
	if len(leases) > 0 && !slices.Contains(u.owners[consumer], member) {
		u.owners[consumer] = append(u.owners[consumer], member)
	}
	return leases, err
}
