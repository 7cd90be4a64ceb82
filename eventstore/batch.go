package eventstore

import (
	"slices"

	"github.com/google/uuid"
)

// Bounds of one batch. A single commit may exceed them, and then goes alone.
const (
	maxBatch      = 1024
	maxBatchBytes = 8 << 20
	maxHeld       = 256     // commits looked at that cannot join
	maxChecks     = 1 << 14 // comparisons of events with conditions that name no tag
)

// batch is a set of commits that do not depend on each other, so that a backend may decide them all at once.
type batch struct {
	commits, bytes int
	ids            map[uuid.UUID]struct{}
	streams        map[Stream]bool // true: some commit expects something of it
	lanes          map[lane]struct{}
	events         []*Event
	tagged         map[string][]*Event // by each of their tags
	asked          map[string][]*Item  // what conditions ask, by its first tag
	loose          []*Item             // likewise, without tags
}

type lane struct {
	consumer  string
	partition int
}

func (b *batch) full() bool {
	return b.commits >= maxBatch || b.bytes >= maxBatchBytes || len(b.events)*len(b.loose) > maxChecks
}

// add takes c into the batch and reports true, or reports false if c depends on what is in it.
func (b *batch) add(c *Commit) bool {
	if b.commits > 0 && b.clashes(c) {
		return false
	}
	if b.ids == nil {
		b.ids, b.streams, b.lanes = map[uuid.UUID]struct{}{}, map[Stream]bool{}, map[lane]struct{}{}
	}
	b.commits++
	for id := range c.ids {
		b.ids[id] = struct{}{}
	}
	for i := range c.Appends {
		a := &c.Appends[i]
		b.streams[a.Stream] = b.streams[a.Stream] || a.Expect != Any
		for j := range a.Events {
			e := &a.Events[j]
			b.events = append(b.events, e)
			b.bytes += len(e.Data)
			for _, t := range e.Tags {
				if b.tagged == nil {
					b.tagged = map[string][]*Event{}
				}
				b.tagged[t] = append(b.tagged[t], e)
			}
		}
	}
	for i := range c.Unless {
		items := c.Unless[i].Query.items
		for k := range items {
			it := &items[k]
			if len(it.Tags) == 0 {
				b.loose = append(b.loose, it)
				continue
			}
			if b.asked == nil {
				b.asked = map[string][]*Item{}
			}
			b.asked[it.Tags[0]] = append(b.asked[it.Tags[0]], it)
		}
	}
	for i := range c.Checkpoints {
		b.lanes[lane{c.Checkpoints[i].Consumer, c.Checkpoints[i].Partition}] = struct{}{}
	}
	return true
}

func (b *batch) clashes(c *Commit) bool {
	for id := range c.ids {
		if _, ok := b.ids[id]; ok {
			return true
		}
	}
	for i := range c.Appends {
		if guarded, ok := b.streams[c.Appends[i].Stream]; ok && (guarded || c.Appends[i].Expect != Any) {
			return true
		}
	}
	for i := range c.Checkpoints {
		if _, ok := b.lanes[lane{c.Checkpoints[i].Consumer, c.Checkpoints[i].Partition}]; ok {
			return true
		}
	}
	return b.conditionClash(c)
}

// conditionClash looks both ways: c's conditions at the batch's events, and the batch's at c's.
func (b *batch) conditionClash(c *Commit) bool {
	for i := range c.Unless {
		items := c.Unless[i].Query.items
		for k := range items {
			among := b.events
			if tags := items[k].Tags; len(tags) > 0 {
				among = b.tagged[tags[0]]
			}
			if slices.ContainsFunc(among, items[k].matches) {
				return true
			}
		}
	}
	for i := range c.Appends {
		for k := range c.Appends[i].Events {
			e := &c.Appends[i].Events[k]
			asks := func(it *Item) bool { return it.matches(e) }
			if slices.ContainsFunc(b.loose, asks) ||
				slices.ContainsFunc(e.Tags, func(tag string) bool { return slices.ContainsFunc(b.asked[tag], asks) }) {
				return true
			}
		}
	}
	return false
}

// ids yields every id that a commit names.
func (c *Commit) ids(yield func(uuid.UUID) bool) {
	for i := range c.Appends {
		for j := range c.Appends[i].Events {
			if !yield(c.Appends[i].Events[j].ID) {
				return
			}
		}
	}
	for i := range c.Parks {
		if !yield(c.Parks[i].ID) {
			return
		}
	}
	for i := range c.Deliveries {
		if !yield(c.Deliveries[i].ID) {
			return
		}
	}
	for i := range c.Acks {
		if !yield(c.Acks[i].ID) {
			return
		}
	}
	for i := range c.Returns {
		if !yield(c.Returns[i].ID) {
			return
		}
	}
	for i := range c.Schedules {
		if !yield(c.Schedules[i].ID) {
			return
		}
		for j := range c.Schedules[i].Append.Events {
			if !yield(c.Schedules[i].Append.Events[j].ID) {
				return
			}
		}
	}
	for _, ids := range [...][]uuid.UUID{c.Unparks, c.Redrives, c.Cancels} {
		for _, id := range ids {
			if !yield(id) {
				return
			}
		}
	}
}
