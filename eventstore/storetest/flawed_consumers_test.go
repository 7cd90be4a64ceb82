package storetest

import (
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

// repaired makes checkpoints right that are wrong.
func repaired(ctx context.Context, b *memory.Backend, c eventstore.Commit, repair func(x *eventstore.Checkpoint, p eventstore.Partition)) eventstore.Commit {
	c.Checkpoints = slices.Clone(c.Checkpoints)
	for i := range c.Checkpoints {
		x := &c.Checkpoints[i]
		if r, _ := b.Roster(ctx, x.Consumer); x.Partition < len(r.Partitions) {
			repair(x, r.Partitions[x.Partition])
		}
	}
	return c
}

type keyless struct{ *memory.Backend }

func (k keyless) Parked(ctx context.Context, f eventstore.ParkedFilter) iter.Seq2[eventstore.Parked, error] {
	f.Key = ""
	return k.Backend.Parked(ctx, f)
}

// early is ahead of its time.
type early struct{ *memory.Backend }

const lead = 2 * time.Hour

func (e early) Commit(ctx context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	batch = slices.Clone(batch)
	for i := range batch {
		batch[i].Schedules = slices.Clone(batch[i].Schedules)
		for k := range batch[i].Schedules {
			batch[i].Schedules[k].Due = batch[i].Schedules[k].Due.Add(-lead)
		}
	}
	return e.Backend.Commit(ctx, batch)
}

func (e early) Fire(ctx context.Context, limit int) (int, time.Time, error) {
	n, next, err := e.Backend.Fire(ctx, limit)
	if !next.IsZero() {
		next = next.Add(lead)
	}
	return n, next, err
}

func (e early) Scheduled(ctx context.Context) iter.Seq2[eventstore.Schedule, error] {
	return func(yield func(eventstore.Schedule, error) bool) {
		for s, err := range e.Backend.Scheduled(ctx) {
			s.Due = s.Due.Add(lead)
			if !yield(s, err) {
				return
			}
		}
	}
}

// twice looks what is due before it has its turn, and appends it also if somebody else has fired it by then.
type twice struct{ *memory.Backend }

func (t *twice) Fire(ctx context.Context, limit int) (int, time.Time, error) {
	var due []eventstore.Schedule
	for s, err := range t.Scheduled(ctx) {
		if err == nil && len(due) < limit && s.Due.Before(future(0)) {
			due = append(due, s)
		}
	}
	time.Sleep(50 * time.Microsecond)
	n, next, err := t.Backend.Fire(ctx, limit)
	for _, s := range due[min(n, len(due)):] {
		if taken(ctx, t.Backend, appends(s.Append)) {
			_, _ = commitOne(ctx, t.Backend, fresh(appends(s.Append)))
			n++
		}
	}
	return n, next, err
}

// backward turns the times of a minute around.
type backward struct{ *memory.Backend }

func (b backward) Commit(ctx context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	batch = slices.Clone(batch)
	for i := range batch {
		batch[i].Schedules = slices.Clone(batch[i].Schedules)
		for k, s := range batch[i].Schedules {
			if s.Due.Year() == past(0).Year() {
				batch[i].Schedules[k].Due = past(0).Add(past(60).Sub(s.Due))
			}
		}
	}
	return b.Backend.Commit(ctx, batch)
}

// resurrecting does not remember what was cancelled.
type resurrecting struct {
	*memory.Backend
	mu        sync.Mutex
	cancelled map[uuid.UUID]bool
}

func (r *resurrecting) Commit(ctx context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	outcomes, err := r.Backend.Commit(ctx, batch)
	for _, c := range batch {
		for _, s := range c.Schedules {
			if r.cancelled[s.ID] {
				again := later(s.Due, s.Append.Stream, fresh(appends(s.Append)).Appends[0].Events...)
				_, _ = commitOne(ctx, r.Backend, eventstore.Commit{Schedules: []eventstore.Schedule{again}})
			}
		}
		for _, id := range c.Cancels {
			r.cancelled[id] = true
		}
	}
	return outcomes, err
}

type immortal struct{ *memory.Backend }

func (i immortal) Renew(ctx context.Context, m eventstore.Member, _ time.Duration) ([]eventstore.Roster, error) {
	return i.Backend.Renew(ctx, m, long)
}

// generous takes a partition from its owner for whoever claims it.
type generous struct{ *memory.Backend }

func (g generous) Claim(ctx context.Context, member, consumer string, generation int64, partitions []int) ([]eventstore.Lease, error) {
	r, _ := g.Roster(ctx, consumer)
	for i, p := range r.Partitions {
		if slices.Contains(partitions, i) && p.Owner != "" && p.Owner != member {
			_ = g.Release(ctx, p.Owner, []eventstore.Lease{{Consumer: consumer, Partition: i, Epoch: p.Epoch}})
		}
	}
	return g.Backend.Claim(ctx, member, consumer, generation, partitions)
}

// careless releases whatever stands under the lease's number.
type careless struct{ *memory.Backend }

func (c careless) Release(ctx context.Context, _ string, leases []eventstore.Lease) error {
	for _, l := range leases {
		if r, _ := c.Roster(ctx, l.Consumer); l.Partition >= 0 && l.Partition < len(r.Partitions) {
			p := r.Partitions[l.Partition]
			_ = c.Backend.Release(ctx, p.Owner, []eventstore.Lease{{Consumer: l.Consumer, Partition: l.Partition, Epoch: p.Epoch}})
		}
	}
	return nil
}

// sleepy tells of nothing until it is asked to stop.
type sleepy struct{ *memory.Backend }

func (s sleepy) Wait(ctx context.Context, seen eventstore.Pulse) (eventstore.Pulse, error) {
	if now, err := s.Backend.Wait(ctx, eventstore.Pulse{Head: -1}); err != nil || seen.Head < 0 {
		return now, err
	}
	<-ctx.Done()
	return s.Backend.Wait(ctx, seen)
}
