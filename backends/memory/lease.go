package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

type member struct {
	consumers []string
	expires   time.Time
}

// consumer is a consumer's definition and its lanes.
type consumer struct {
	eventstore.Consumer

	lanes    []lane
	paused   bool
	redrives int64
	history  eventstore.Position
}

// lane is a partition, and how many owners in a row it has outlived without moving.
type lane struct {
	eventstore.Partition

	lost int
}

// move puts a lane at a position, under a new epoch and without an owner.
func (l *lane) move(to eventstore.Position) {
	l.Owner, l.Position, l.lost = "", to, 0
	l.Epoch++
}

// lane returns a consumer's partition, or nil.
func (b *Backend) lane(consumer string, n int) *lane {
	if c := b.consumers[consumer]; c != nil && n >= 0 && n < len(c.lanes) {
		return &c.lanes[n]
	}
	return nil
}

// Define implements eventstore.Leaser.
func (b *Backend) Define(_ context.Context, c eventstore.Consumer) (eventstore.Consumer, error) {
	if err := c.Validate(); err != nil {
		return c, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	known := b.consumers[c.Name]
	if known == nil {
		c = c.Clone()
		c.Generation = 1
		known = &consumer{Consumer: c, lanes: make([]lane, c.Partitions), history: b.log.head}
		b.consumers[c.Name] = known
	}
	return known.Clone(), nil
}

// Redefine implements eventstore.Leaser.
func (b *Backend) Redefine(_ context.Context, c eventstore.Consumer) (eventstore.Consumer, error) {
	if err := c.Validate(); err != nil {
		return c, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	known := b.consumers[c.Name]
	if known == nil || known.Generation != c.Generation {
		return c, fmt.Errorf("redefine %s: %w: generation %d is not the present one", c.Name, eventstore.ErrConflict, c.Generation)
	}
	if c.Partitions != len(known.lanes) {
		at := known.lanes[0].Position
		if slices.ContainsFunc(known.lanes, func(l lane) bool { return l.Position != at }) {
			return c, fmt.Errorf("redefine %s: %w: its partitions stand at different positions", c.Name, eventstore.ErrConflict)
		}
		epoch := slices.MaxFunc(known.lanes, func(x, y lane) int { return int(x.Epoch - y.Epoch) }).Epoch
		known.lanes = make([]lane, c.Partitions)
		for n := range known.lanes {
			known.lanes[n].Epoch, known.lanes[n].Position = epoch, at // or a former owner might have the right epoch
		}
	}
	for n := range known.lanes {
		known.lanes[n].move(known.lanes[n].Position)
	}
	known.Consumer = c.Clone()
	known.Generation++
	for id, m := range b.members { // they run what was
		b.members[id] = member{slices.DeleteFunc(slices.Clone(m.consumers), func(s string) bool { return s == c.Name }), m.expires}
	}
	b.changeRoster()
	return known.Clone(), nil
}

// Consumers implements eventstore.Controller.
func (b *Backend) Consumers(context.Context) ([]eventstore.Consumer, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var all []eventstore.Consumer
	for _, name := range slices.Sorted(maps.Keys(b.consumers)) {
		all = append(all, b.consumers[name].Clone())
	}
	return all, nil
}

// Pause implements eventstore.Controller.
func (b *Backend) Pause(_ context.Context, consumer string, paused bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.consumers[consumer]
	if c == nil {
		return unknown(consumer)
	}
	if c.paused != paused {
		c.paused = paused
		for n := range c.lanes {
			c.lanes[n].move(c.lanes[n].Position)
		}
		b.changeRoster()
		b.window++
	}
	return nil
}

// Reset implements eventstore.Controller.
func (b *Backend) Reset(_ context.Context, consumer string, to eventstore.Position) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.consumers[consumer]
	if c == nil {
		return unknown(consumer)
	}
	if t := b.tables[consumer]; t != nil {
		if to != 0 {
			return &eventstore.InvalidError{Field: "position", Reason: fmt.Sprintf("%d: rows of a view begin anew at 0", to)}
		}
		t.rows, t.complete = map[string]eventstore.Row{}, false
	}
	b.reset(c, to)
	return nil
}

func (b *Backend) reset(c *consumer, to eventstore.Position) {
	for n := range c.lanes {
		c.lanes[n].move(to)
	}
	maps.DeleteFunc(b.parked, func(_ uuid.UUID, p eventstore.Parked) bool { return p.Consumer == c.Name && p.Position > to })
	b.windows[c.Name] = slices.DeleteFunc(b.windows[c.Name], func(d *delivery) bool { return d.Position > to })
	c.redrives++
	c.history = b.log.head
	b.changeRoster()
}

func unknown(consumer string) error {
	return &eventstore.InvalidError{Field: "consumer", Reason: fmt.Sprintf("%q is not known to the log", consumer)}
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

func (b *Backend) rosterOf(name string) eventstore.Roster {
	r := eventstore.Roster{Consumer: name}
	c := b.consumers[name]
	if c == nil {
		return r
	}
	r.Generation, r.Competing, r.Paused, r.Redrives, r.History = c.Generation, c.Competing, c.paused, c.redrives, c.history
	for id, m := range b.members {
		if slices.Contains(m.consumers, name) && b.alive(id) {
			r.Members = append(r.Members, id)
		}
	}
	slices.Sort(r.Members)
	for _, l := range c.lanes {
		if !b.alive(l.Owner) {
			l.Owner = ""
		}
		r.Partitions = append(r.Partitions, l.Partition)
	}
	return r
}

func (b *Backend) alive(id string) bool {
	m, ok := b.members[id]
	return ok && time.Now().Before(m.expires)
}

// Claim implements eventstore.Leaser.
func (b *Backend) Claim(_ context.Context, id, name string, generation int64, partitions []int) (leases []eventstore.Lease, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.consumers[name]
	switch {
	case c == nil:
		return nil, fmt.Errorf("claim %s: %w", name, unknown(name))
	case !b.alive(id):
		return nil, fmt.Errorf("claim %s: %w: member %s is not alive", name, eventstore.ErrFenced, id)
	case c.paused || c.Generation != generation:
		return nil, fmt.Errorf("claim %s: %w: it is paused, or not of generation %d", name, eventstore.ErrFenced, generation)
	}
	for _, n := range partitions {
		if n < 0 || n >= len(c.lanes) {
			return nil, fmt.Errorf("claim %s: %w", name,
				&eventstore.InvalidError{Field: "partition", Reason: fmt.Sprintf("%d is not 0 … %d", n, len(c.lanes)-1)})
		}
		l := &c.lanes[n]
		if l.Owner != id && b.alive(l.Owner) {
			continue
		}
		if l.Owner != "" && l.Owner != id { // it did not hand it back
			l.lost++
		}
		l.Owner = id
		l.Epoch++
		leases = append(leases, eventstore.Lease{Consumer: name, Partition: n, Epoch: l.Epoch, Position: l.Position, Lost: l.lost})
	}
	return leases, nil
}

// Release implements eventstore.Leaser.
func (b *Backend) Release(_ context.Context, id string, leases []eventstore.Lease) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range leases {
		if lane := b.lane(l.Consumer, l.Partition); lane != nil && lane.Owner == id && lane.Epoch == l.Epoch {
			lane.Owner, lane.lost = "", 0
		}
	}
	b.changeRoster()
	return nil
}

// Leave implements eventstore.Leaser.
func (b *Backend) Leave(_ context.Context, id string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.consumers {
		for n := range c.lanes {
			if c.lanes[n].Owner == id {
				c.lanes[n].Owner, c.lanes[n].lost = "", 0
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
