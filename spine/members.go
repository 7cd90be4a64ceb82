package spine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/partition"
)

// members keeps this process alive among those that share the consumers' partitions, until work ends; and
// shares them, until ctx ends. What has changed, and whether all was well, is since and of the last balance. Calls to the
// store that work's end finds under way go on until calls ends: if they were cut off, nobody would know when the store has
// done with them.
func (e *engine) members(ctx, work, calls context.Context, changed <-chan struct{}, well bool) {
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
		well = e.balance(ctx, work, calls)
	}
}

// balance shows that we live, and takes or gives up partitions until all live members have their share. It
// reports whether the store took part.
func (e *engine) balance(ctx, work, calls context.Context) (well bool) {
	m := eventstore.Member{ID: e.id}
	var ours []*consumer
	for _, c := range e.consumers {
		if e.shape(c) != nil {
			m.Consumers, ours = append(m.Consumers, c.Name), append(ours, c)
		}
	}
	now := time.Now()
	if now.Sub(e.renewed) >= e.cfg.Lease {
		e.loseAll(work, errLate)
	}
	timeout, again := e.renewal(now)
	call, cancel := context.WithTimeout(calls, timeout)
	defer cancel()
	rosters, err := e.leaser.Renew(call, m, e.cfg.Lease)
	if err == nil && len(rosters) != len(m.Consumers) {
		err = fmt.Errorf("backend %T returned %d rosters for %d consumers", e.store.Backend(), len(rosters), len(m.Consumers))
	}
	if err != nil {
		if slow := again && errors.Is(call.Err(), context.DeadlineExceeded); work.Err() == nil && !slow {
			e.storeFailed(work, fmt.Errorf("renew leases: %w", err))
		}
		return false
	}
	e.renewed, well = now, true
	if ctx.Err() != nil {
		return true
	}
	for _, c := range e.consumers {
		var r *eventstore.Roster
		if i := slices.Index(ours, c); i >= 0 {
			r = &rosters[i]
		}
		settled, err := e.tend(ctx, work, call, c, r)
		if err != nil && ctx.Err() == nil {
			e.storeFailed(work, fmt.Errorf("organ %s: claim partitions: %w", c.Name, err))
		}
		well = well && settled
	}
	return well
}

// renewal is how long a renewal that begins now may take, and whether there is time for another if it takes longer.
// The first gets a third of the lease, for its connection may be dead. The next one gets all that is left, for a server
// that is slow would be no faster for being asked once more; and so does one that comes too late for this lease, of the
// next.
func (e *engine) renewal(now time.Time) (timeout time.Duration, again bool) {
	switch left := e.cfg.Lease - now.Sub(e.renewed); {
	case left <= 0:
		return e.cfg.Lease, false
	case left > e.cfg.Lease/2:
		return e.cfg.Lease / 3, true
	default:
		return left, false
	}
}

// tend brings our lanes of a consumer into line with what the log says of it; r is nil if we do not run it. It
// reports false if it is to be called again soon.
func (e *engine) tend(ctx, work, call context.Context, c *consumer, r *eventstore.Roster) (settled bool, err error) {
	s := e.shape(c)
	if s == nil || r.Generation != s.generation || s.until > 0 && r.Position() >= s.until {
		return e.readopt(work, call, c, s, r)
	}
	c.history.Store(int64(r.History))
	for _, l := range e.lanesOf(c) {
		if l.partition < len(r.Partitions) && r.Partitions[l.partition].Epoch != l.epoch { // else it is lost already
			e.lose(work, l, errTaken)
		}
	}
	if r.Redrives != e.redrives[c] {
		e.redrives[c] = r.Redrives
		for _, l := range e.lanesOf(c) {
			l.reload()
		}
	}
	if r.Paused {
		for _, l := range e.lanesOf(c) {
			l.stop()
		}
		return true, nil
	}
	err = e.share(ctx, work, call, c, s, r)
	return err == nil, err
}

// readopt finds out by which definition a consumer is to be worked now, and gives up the lanes that are worked by
// another. One that the log knows no more, as when what is kept beside it was lost, begins as it did with Run.
func (e *engine) readopt(work, call context.Context, c *consumer, s *shape, r *eventstore.Roster) (settled bool, err error) {
	if r != nil && len(r.Partitions) == 0 {
		err = e.introduce(call, c)
	} else {
		err = e.adopt(call, c)
	}
	if unknown, ok := errors.AsType[*keyError](err); ok { // nothing that trying again soon would change
		e.setShape(c, nil)
		e.storeFailed(work, fmt.Errorf("organ %s: %w", c.Name, unknown))
	} else if err != nil {
		return false, err
	}
	now := e.shape(c)
	if now == s { // nothing, or what others are about to change
		return now == nil, nil
	}
	e.observe.tell(work, Observation{Step: Redefined, Organ: c.Name, Partition: -1, Err: now.err()})
	for _, l := range e.lanesOf(c) {
		e.lose(work, l, errRedefined)
	}
	return now == nil, nil
}

// errTaken is why partitions are lost that were paused, reset or given to others.
var errTaken = errors.New("the partition has a new epoch")

// errRedefined is why partitions are lost whose consumer has got another definition.
var errRedefined = errors.New("the organ's definition has changed")

// errOutdated is why an organ does not run here.
var errOutdated = errors.New("another process runs a newer definition of the organ")

// err is why a consumer without a shape does not run.
func (s *shape) err() error {
	if s == nil {
		return errOutdated
	}
	return nil
}

func (e *engine) lanesOf(c *consumer) (lanes []*lane) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for key, l := range e.lanes {
		if key.consumer == c.Name {
			lanes = append(lanes, l)
		}
	}
	return lanes
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
	i = (i + partition.Of(consumer, len(members))) % len(members)
	q := n / len(members)
	if i < n%len(members) {
		q++
	}
	return q
}

func (e *engine) share(ctx, work, call context.Context, c *consumer, s *shape, r *eventstore.Roster) error {
	due := quota(c.Name, len(r.Partitions), r.Members, e.id)
	var mine []*lane
	var kept, free []int // kept are ours still, for all that the log knows: their lanes have ended because we were late
	e.mu.Lock()
	for n, p := range r.Partitions {
		switch l := e.lanes[laneKey{c.Name, n}]; {
		case l != nil:
			mine = append(mine, l)
		case p.Owner == e.id:
			kept = append(kept, n)
		case p.Owner == "":
			free = append(free, n)
		}
	}
	e.mu.Unlock()
	for _, l := range mine[min(due, len(mine)):] {
		l.stop() // it hands itself back
	}
	want := max(0, due-len(mine))
	if more := len(kept) - want; more > 0 { // nobody else would take them as long as we live
		leases := make([]eventstore.Lease, more)
		for i, n := range kept[want:] {
			leases[i] = eventstore.Lease{Consumer: c.Name, Partition: n, Epoch: r.Partitions[n].Epoch}
		}
		if err := e.leaser.Release(call, e.id, leases); err != nil {
			return err
		}
		kept = kept[:want]
	}
	free = append(kept, free...)
	if want = min(want, len(free)); want > 0 {
		leases, err := e.leaser.Claim(call, e.id, c.Name, s.generation, free[:want])
		if err != nil {
			return err
		}
		for _, lease := range leases {
			e.start(ctx, work, c, s, lease)
		}
	}
	return nil
}

// start begins to work a partition, unless the engine is ending: then Leave gives it back.
func (e *engine) start(ctx, work context.Context, c *consumer, s *shape, lease eventstore.Lease) {
	l := &lane{
		engine: e, consumer: c, shape: s, partition: lease.Partition, epoch: lease.Epoch,
		wake: make(chan struct{}, 1), nudge: make(chan struct{}, 1),
		readTo: lease.Position, checkpoint: lease.Position,
	}
	if lease.Lost > 0 { // the owner may have fallen over an event that it had gathered far ahead of its checkpoint
		l.gathering.wary = gatherEvents
	}
	if lease.Lost >= carefulAfter {
		l.careful = batchInputs
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ending {
		return
	}
	ctx, l.stop = context.WithCancel(ctx)
	e.lanes[laneKey{c.Name, lease.Partition}] = l
	e.feed.enter(l)
	c.started.Fire()
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
