package memory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

type member struct {
	consumers []string
	expires   time.Time
}

// Define implements eventstore.Leaser.
func (b *Backend) Define(_ context.Context, c eventstore.Consumer) (eventstore.Consumer, error) {
	if err := c.Validate(); err != nil {
		return c, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.consumers[c.Name] == nil {
		b.consumers[c.Name] = make([]eventstore.Partition, c.Partitions)
	}
	c.Partitions = len(b.consumers[c.Name])
	return c, nil
}

// Renew implements eventstore.Leaser.
func (b *Backend) Renew(_ context.Context, m eventstore.Member, ttl time.Duration) ([]eventstore.Roster, error) {
	if err := eventstore.CheckName("member", m.ID); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for id, other := range b.members {
		if other.expires.Before(now) && id != m.ID {
			delete(b.members, id)
			b.changeRoster()
		}
	}
	if before, known := b.members[m.ID]; !known || !slices.Equal(before.consumers, m.Consumers) {
		b.changeRoster()
	}
	b.members[m.ID] = member{slices.Clone(m.Consumers), now.Add(ttl)}
	rosters := make([]eventstore.Roster, len(m.Consumers))
	for i, name := range m.Consumers {
		rosters[i] = b.rosterOf(name)
	}
	return rosters, nil
}

// Roster implements eventstore.Leaser.
func (b *Backend) Roster(_ context.Context, consumer string) (eventstore.Roster, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.rosterOf(consumer), nil
}

func (b *Backend) rosterOf(consumer string) eventstore.Roster {
	r := eventstore.Roster{Consumer: consumer, Partitions: slices.Clone(b.consumers[consumer])}
	for id, m := range b.members {
		if slices.Contains(m.consumers, consumer) && b.alive(id) {
			r.Members = append(r.Members, id)
		}
	}
	slices.Sort(r.Members)
	for i := range r.Partitions {
		if !b.alive(r.Partitions[i].Owner) {
			r.Partitions[i].Owner = ""
		}
	}
	return r
}

func (b *Backend) alive(id string) bool {
	m, ok := b.members[id]
	return ok && time.Now().Before(m.expires)
}

// Claim implements eventstore.Leaser.
func (b *Backend) Claim(_ context.Context, id, consumer string, partitions []int) (leases []eventstore.Lease, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.alive(id) {
		return nil, fmt.Errorf("claim %s: %w: member %s is not alive", consumer, eventstore.ErrFenced, id)
	}
	lanes := b.consumers[consumer]
	for _, n := range partitions {
		if n < 0 || n >= len(lanes) {
			return nil, fmt.Errorf("claim %s: %w", consumer,
				&eventstore.InvalidError{Field: "partition", Reason: fmt.Sprintf("%d is not 0 … %d", n, len(lanes)-1)})
		}
		if owner := lanes[n].Owner; owner == id || !b.alive(owner) {
			lanes[n].Owner = id
			lanes[n].Epoch++
			leases = append(leases, eventstore.Lease{
				Consumer: consumer, Partition: n, Epoch: lanes[n].Epoch, Position: lanes[n].Position,
			})
		}
	}
	return leases, nil
}

// Release implements eventstore.Leaser.
func (b *Backend) Release(_ context.Context, id string, leases []eventstore.Lease) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range leases {
		if lanes := b.consumers[l.Consumer]; l.Partition >= 0 && l.Partition < len(lanes) {
			if lane := &lanes[l.Partition]; lane.Owner == id && lane.Epoch == l.Epoch {
				lane.Owner = ""
			}
		}
	}
	b.changeRoster()
	return nil
}

// Leave implements eventstore.Leaser.
func (b *Backend) Leave(_ context.Context, id string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, lanes := range b.consumers {
		for n := range lanes {
			if lanes[n].Owner == id {
				lanes[n].Owner = ""
			}
		}
	}
	delete(b.members, id)
	b.changeRoster()
	return nil
}

func (b *Backend) changeRoster() {
	b.roster++
	b.wake.Fire()
}
