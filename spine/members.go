package spine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// members keeps this process alive among those that share the consumers' partitions, until work ends; and
// shares them, until ctx ends.
func (e *engine) members(ctx, work context.Context) {
	for {
		changed := e.roster.Wait()
		t := time.NewTimer(e.cfg.Lease / 3)
		select {
		case <-t.C:
		case <-changed:
		case <-work.Done():
			t.Stop()
			return
		}
		t.Stop()
		e.balance(ctx, work)
	}
}

// balance shows that we live, and takes or gives up partitions until all live members have their share.
func (e *engine) balance(ctx, work context.Context) {
	m := eventstore.Member{ID: e.id}
	for _, c := range e.consumers {
		m.Consumers = append(m.Consumers, c.Name)
	}
	now := time.Now()
	if ctx.Err() != nil && e.renewed.IsZero() {
		return
	}
	rosters, err := e.leaser.Renew(work, m, e.cfg.Lease)
	if err == nil && len(rosters) != len(m.Consumers) {
		err = fmt.Errorf("backend %T returned %d rosters for %d consumers", e.store.Backend(), len(rosters), len(m.Consumers))
	}
	if err != nil {
		if work.Err() == nil {
			e.storeFailed(work, fmt.Errorf("renew leases: %w", err))
		}
		if now.Sub(e.renewed) > e.cfg.Lease {
			e.loseAll(err)
		}
		return
	}
	e.renewed = now
	if ctx.Err() != nil {
		return
	}
	for i, c := range e.consumers {
		if err := e.share(ctx, work, c, &rosters[i]); err != nil {
			e.storeFailed(work, fmt.Errorf("organ %s: claim partitions: %w", c.Name, err))
		}
	}
}

// quota is how many of n partitions the member should work.
func quota(n int, members []string, member string) int {
	i := slices.Index(members, member)
	if i < 0 {
		return 0
	}
	q := n / len(members)
	if i < n%len(members) {
		q++
	}
	return q
}

func (e *engine) share(ctx, work context.Context, c *consumer, r *eventstore.Roster) error {
	due := quota(len(r.Partitions), r.Members, e.id)
	var mine []*lane
	var free []int
	e.mu.Lock()
	for n, p := range r.Partitions {
		if l := e.lanes[laneKey{c.Name, n}]; l != nil {
			mine = append(mine, l)
		} else if p.Owner == "" || p.Owner == e.id {
			free = append(free, n)
		}
	}
	e.mu.Unlock()
	for _, l := range mine[min(due, len(mine)):] {
		l.stop() // it hands itself back
	}
	if want := min(due-len(mine), len(free)); want > 0 {
		leases, err := e.leaser.Claim(work, e.id, c.Name, free[:want])
		if err != nil {
			return err
		}
		for i, lease := range leases {
			if err := e.start(ctx, work, c, lease); err != nil {
				return fmt.Errorf("%w (and %w)", err, e.leaser.Release(work, e.id, leases[i:]))
			}
		}
	}
	return nil
}

// start begins to work a partition.
func (e *engine) start(ctx, work context.Context, c *consumer, lease eventstore.Lease) error {
	l := &lane{
		engine: e, consumer: c, partition: lease.Partition, epoch: lease.Epoch, wake: make(chan struct{}, 1),
		readTo: lease.Position, checkpoint: lease.Position,
	}
	if e.parker != nil {
		f := eventstore.ParkedFilter{Consumer: c.Name, Partitions: []int{lease.Partition}}
		for p, err := range e.parker.Parked(work, f) {
			if err != nil {
				return fmt.Errorf("load parked events: %w", err)
			}
			if l.parked == nil {
				l.parked = map[string]bool{}
			}
			l.parked[p.Key] = true
		}
	}
	ctx, l.stop = context.WithCancel(ctx)
	e.mu.Lock()
	e.lanes[laneKey{c.Name, lease.Partition}] = l
	e.mu.Unlock()
	e.feed.enter(l)
	l.observe(work, Observation{Step: LeaseTaken, Position: lease.Position})
	e.wg.Go(func() {
		l.run(ctx, work)
		e.end(ctx, work, l)
	})
	return nil
}

// end forgets a lane, and hands its partition back if others want it.
func (e *engine) end(ctx, work context.Context, l *lane) {
	l.stop()
	lost := e.feed.leave(l)
	if !lost {
		lease := eventstore.Lease{Consumer: l.consumer.Name, Partition: l.partition, Epoch: l.epoch}
		if err := e.leaser.Release(work, e.id, []eventstore.Lease{lease}); err != nil && work.Err() == nil {
			e.storeFailed(work, fmt.Errorf("release partition: %w", err))
		}
	}
	e.mu.Lock()
	delete(e.lanes, laneKey{l.consumer.Name, l.partition})
	e.mu.Unlock()
	e.roster.Fire()
}

// lose ends a lane whose lease has gone to somebody else.
func (e *engine) lose(c *consumer, partition int, err error) {
	e.mu.Lock()
	l := e.lanes[laneKey{c.Name, partition}]
	e.mu.Unlock()
	if l == nil {
		return
	}
	e.feed.mu.Lock()
	known := l.lost
	l.lost = true
	e.feed.mu.Unlock()
	if !known {
		l.observe(context.Background(), Observation{Step: LeaseLost, Err: err})
	}
	l.stop()
}

// loseAll ends all lanes: we could not show in time that we live.
func (e *engine) loseAll(err error) {
	e.mu.Lock()
	var all []*lane
	for _, l := range e.lanes {
		all = append(all, l)
	}
	e.mu.Unlock()
	for _, l := range all {
		e.lose(l.consumer, l.partition, err)
	}
}

func (f *feed) enter(l *lane) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lanes[l] = false
	f.busy++
}

// leave reports whether the lane was lost.
func (f *feed) leave(l *lane) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if waits := f.lanes[l]; !waits {
		if f.busy--; f.busy == 0 {
			f.quiet()
		}
	}
	delete(f.lanes, l)
	return l.lost
}
