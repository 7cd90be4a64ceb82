package memory

import (
	"context"
	"fmt"

	"github.com/necrostack/necrostack/eventstore"
)

// Commit implements eventstore.Backend.
func (b *Backend) Commit(_ context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	outcomes := make([]eventstore.Outcome, len(batch))
	b.mu.Lock()
	for i := range batch {
		outcomes[i].Result, outcomes[i].Err = b.commit(&batch[i])
	}
	b.mu.Unlock()
	b.wake.Fire()
	return outcomes, nil
}

// commit checks everything before it writes anything: first ids, then fences, then conditions.
func (b *Backend) commit(c *eventstore.Commit) (eventstore.Result, error) {
	if first, err := b.sentBefore(c); first != nil || err != nil {
		return b.resultAt(first, c), err
	}
	if applied, err := b.fences(c); applied || err != nil {
		return eventstore.Result{}, err
	}
	if err := b.guards(c); err != nil {
		return eventstore.Result{}, err
	}
	now := b.now()
	for _, id := range c.Cancels {
		b.cancel(id)
	}
	b.schedule(c.Schedules)
	b.park(c, now)
	b.deliver(c)
	for _, cp := range c.Checkpoints {
		if lane := b.lane(cp.Consumer, cp.Partition); lane.Position != cp.To {
			lane.Position, lane.lost = cp.To, 0
		}
	}
	return b.write(c.Appends), nil
}

// write appends events. Nothing refuses them any more.
func (b *Backend) write(appends []eventstore.Append) eventstore.Result {
	r := eventstore.Result{Versions: make([]eventstore.Version, len(appends))}
	now, first := b.now(), b.log.head+1
	for i, a := range appends {
		stream, category := b.streams[a.Stream], a.Stream.Category()
		for k := range a.Events {
			p := b.log.head + 1
			e := b.log.add(&a.Events[k], first)
			e.Stream, e.Version, e.Position, e.Time = a.Stream, eventstore.Version(len(stream)+1), p, now
			b.ids.add(e.ID, p)
			stream = append(stream, p)
			b.categories.add(category, p)
			b.types.add(e.Type, p)
			for _, t := range e.Tags {
				b.tags.add(t, p)
			}
			r.Position = p
		}
		b.streams[a.Stream] = stream
		r.Versions[i] = eventstore.Version(len(stream))
	}
	return r
}

// sent is where a commit that was written before begins. Its position is 0 if it appended nothing.
type sent struct{ first eventstore.Position }

// sentBefore recognises a commit by its events' ids, or by its schedules' if it has no events. It returns nil
// for a new commit, and ErrIDReused for anything in between.
func (b *Backend) sentBefore(c *eventstore.Commit) (*sent, error) {
	fresh, n := true, 0
	var first eventstore.Position
	same := true
	for _, a := range c.Appends {
		for i := range a.Events {
			e := &a.Events[i]
			p := b.ids.find(e.ID, &b.log)
			if n == 0 {
				first = p
			}
			fresh = fresh && p == 0 && !b.reserved[e.ID]
			same = same && p > 0 && p == first+eventstore.Position(n) && b.log.at(p).first == first && b.log.at(p).Stream == a.Stream
			n++
		}
	}
	if n > 0 && same && b.moved(c.Checkpoints) && b.planned(c.Schedules) {
		end := first + eventstore.Position(n)
		if end > b.log.head || b.log.at(end).first != first {
			return &sent{first}, nil
		}
	}
	scheduled, err := b.scheduledBefore(c.Schedules)
	switch {
	case err == nil && n == 0 && scheduled:
		return &sent{}, nil
	case err == nil && fresh && !scheduled:
		return nil, nil
	default:
		return nil, fmt.Errorf("%w: the commit shares ids with another", eventstore.ErrIDReused)
	}
}

// moved reports whether every checkpoint has been made, by this commit or with later ones on top. What was
// not made shows that the events were another commit's.
func (b *Backend) moved(checkpoints []eventstore.Checkpoint) bool {
	for _, c := range checkpoints {
		if lane := b.lane(c.Consumer, c.Partition); lane == nil || lane.Position < c.To {
			return false
		}
	}
	return true
}

// resultAt is the result of the commit whose events begin at a position.
func (b *Backend) resultAt(at *sent, c *eventstore.Commit) (r eventstore.Result) {
	if at == nil || at.first == 0 {
		return r
	}
	p := at.first - 1
	for _, a := range c.Appends {
		p += eventstore.Position(len(a.Events))
		r.Position = p
		r.Versions = append(r.Versions, b.log.at(p).Version)
	}
	return r
}

// fences checks that the committer still has the right to commit. It reports applied for a commit that is
// known by its checkpoints alone, and stands already.
func (b *Backend) fences(c *eventstore.Commit) (applied bool, err error) {
	moves, done := 0, 0
	for _, cp := range c.Checkpoints {
		lane := b.lane(cp.Consumer, cp.Partition)
		if lane == nil {
			return false, fenced(cp, "no such partition")
		}
		if lane.Epoch != cp.Epoch {
			return false, fenced(cp, fmt.Sprintf("epoch %d has passed to epoch %d", cp.Epoch, lane.Epoch))
		}
		if cp.From != cp.To {
			moves++
			if lane.Position == cp.To {
				done++
				continue
			}
		}
		if lane.Position != cp.From {
			err = fenced(cp, fmt.Sprintf("stands at %d, not at %d", lane.Position, cp.From))
		}
	}
	if err != nil {
		return false, err
	}
	if moves > 0 && done == moves && len(c.Appends)+len(c.Schedules) == 0 {
		return true, nil
	}
	if done > 0 {
		return false, fmt.Errorf("%w: some checkpoints of the commit were made before", eventstore.ErrFenced)
	}
	for _, id := range c.Unparks {
		if _, ok := b.parked[id]; !ok {
			return false, &eventstore.FencedError{Entry: id, Reason: "it is parked no more"}
		}
	}
	return false, b.holds(c)
}

func fenced(c eventstore.Checkpoint, reason string) error {
	return &eventstore.FencedError{Consumer: c.Consumer, Partition: c.Partition, Reason: reason}
}

// guards checks expectations and conditions against the log as it stands before the commit.
func (b *Backend) guards(c *eventstore.Commit) error {
	for _, a := range c.Appends {
		if v := eventstore.Version(len(b.streams[a.Stream])); !a.Expect.Allows(v) {
			return &eventstore.ConflictError{Stream: a.Stream, Expected: a.Expect, Actual: v}
		}
	}
	for i, x := range c.Unless {
		if p := b.first(x); p > 0 {
			return &eventstore.ConditionError{Index: i, After: x.After, Position: p}
		}
	}
	return nil
}

// first is the position of the first event that breaks a condition, or 0.
func (b *Backend) first(x eventstore.Condition) eventstore.Position {
	for p := range b.find(x.Query, x.After, b.log.head, false) {
		return p
	}
	return 0
}
