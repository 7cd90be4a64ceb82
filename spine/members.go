package spine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// members keeps this process alive among those that share the consumers' partitions, until work ends; and
// shares them, until ctx ends. What has changed, and whether all was well, is since and of the last balance.
func (e *engine) members(ctx, work context.Context, changed <-chan struct{}, well bool) {
	for {
		wait := e.cfg.Lease / 3
		if !well {
			wait, changed = min(wait, storePause), nil
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-changed:
		case <-work.Done():
			t.Stop()
			return
		}
		t.Stop()
		changed = e.roster.Wait()
		well = e.balance(ctx, work)
	}
}

// balance shows that we live, and takes or gives up partitions until all live members have their share. It
// reports whether the store took part.
func (e *engine) balance(ctx, work context.Context) (well bool) {
	m := eventstore.Member{ID: e.id}
	for _, c := range e.consumers {
		m.Consumers = append(m.Consumers, c.Name)
	}
	now := time.Now()
	if now.Sub(e.renewed) >= e.cfg.Lease {
		e.loseAll(work, errLate)
	}
	most := e.cfg.Lease / 3
	if left := e.cfg.Lease - now.Sub(e.renewed); left > 0 {
		most = min(most, left)
	}
	call, cancel := context.WithTimeout(work, most)
	defer cancel()
	rosters, err := e.leaser.Renew(call, m, e.cfg.Lease)
	if err == nil && len(rosters) != len(m.Consumers) {
		err = fmt.Errorf("backend %T returned %d rosters for %d consumers", e.store.Backend(), len(rosters), len(m.Consumers))
	}
	if err != nil {
		if work.Err() == nil {
			e.storeFailed(work, fmt.Errorf("renew leases: %w", err))
		}
		return false
	}
	e.renewed, well = now, true
	if ctx.Err() != nil {
		return true
	}
	for i, c := range e.consumers {
		if err := e.share(ctx, work, call, c, &rosters[i]); err != nil {
			well = false
			if ctx.Err() == nil {
				e.storeFailed(work, fmt.Errorf("organ %s: claim partitions: %w", c.Name, err))
			}
		}
	}
	return well
}

// errLate is why partitions are lost that were not renewed.
var errLate = errors.New("the leases could not be renewed in time")

// quota is how many of a consumer's n partitions the member should work. Which members get one more than
// others differs from consumer to consumer.
func quota(consumer string, n int, members []string, member string) int {
	i := slices.Index(members, member)
	if i < 0 {
		return 0
	}
	i = (i + partition(consumer, len(members))) % len(members)
	q := n / len(members)
	if i < n%len(members) {
		q++
	}
	return q
}

func (e *engine) share(ctx, work, call context.Context, c *consumer, r *eventstore.Roster) error {
	due := quota(c.Name, len(r.Partitions), r.Members, e.id)
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
		leases, err := e.leaser.Claim(call, e.id, c.Name, free[:want])
		if err != nil {
			return err
		}
		for _, lease := range leases {
			e.start(ctx, work, c, lease)
		}
	}
	return nil
}

// start begins to work a partition, unless the engine is ending: then Leave gives it back.
func (e *engine) start(ctx, work context.Context, c *consumer, lease eventstore.Lease) {
	l := &lane{
		engine: e, consumer: c, partition: lease.Partition, epoch: lease.Epoch, wake: make(chan struct{}, 1),
		readTo: lease.Position, checkpoint: lease.Position,
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ending {
		return
	}
	ctx, l.stop = context.WithCancel(ctx)
	e.lanes[laneKey{c.Name, lease.Partition}] = l
	e.feed.enter(l)
	e.wg.Go(func() {
		l.observe(work, Observation{Step: LeaseTaken, Position: lease.Position})
		l.run(ctx, work)
		e.end(work, l)
	})
}

// end forgets a lane, and hands its partition back if others want it.
func (e *engine) end(work context.Context, l *lane) {
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
func (e *engine) lose(ctx context.Context, l *lane, err error) {
	e.feed.mu.Lock()
	known := l.lost
	l.lost = true
	e.feed.mu.Unlock()
	if !known {
		l.observe(ctx, Observation{Step: LeaseLost, Err: err})
	}
	l.stop()
}

// loseAll ends all lanes: we could not show in time that we live.
func (e *engine) loseAll(ctx context.Context, err error) {
	e.mu.Lock()
	var all []*lane
	for _, l := range e.lanes {
		all = append(all, l)
	}
	e.mu.Unlock()
	for _, l := range all {
		e.lose(ctx, l, err)
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
	if f.lanes[l] {
		f.occupy(l)
	}
	f.free()
	delete(f.lanes, l)
	return l.lost
}
