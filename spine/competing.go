package spine

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// A competing consumer has one lane, the feeder. It handles nothing, but moves events from the log into the
// consumer's window, as fast as they are done; writers pay nothing for it, and history can be delivered. The
// workers of all processes take them from there.

// feedBatch is how many deliveries go into one commit.
const feedBatch = 100

// feed puts events into the window. It reports false when the lane is over.
func (l *lane) feed(ctx, work context.Context, in []Input, through eventstore.Position) bool {
	for len(in) > 0 {
		room, err := l.room(ctx)
		if err != nil {
			if !l.pauseAfter(ctx, work, err) {
				return false
			}
			continue
		}
		var c eventstore.Commit
		n := 0
		for n < len(in) && len(c.Deliveries) < room {
			c.Deliveries = append(c.Deliveries, l.delivery(in[n].Position, in[n].ID))
			n += whole(in[n:])
		}
		to := through
		if n < len(in) {
			to = in[n-1].Position
		}
		if _, err := l.send(work, c, to, nil); err != nil {
			return false
		}
		l.engine.window.Fire()
		in = in[n:]
	}
	return true
}

// delivery of an event. The epoch is in its id because attempts begin anew after a reset: an answer to what was
// delivered before must not count for what is delivered after it.
func (l *lane) delivery(at eventstore.Position, event uuid.UUID) eventstore.Delivery {
	return eventstore.Delivery{
		ID: uuid.NewSHA1(event, fmt.Appendf(nil, "%s %d", l.consumer.Name, l.epoch)), Consumer: l.consumer.Name, Position: at, Event: event,
	}
}

// room waits until there is room in the window. Meanwhile the lane has nothing to do.
func (l *lane) room(ctx context.Context) (int, error) {
	rests := false
	defer func() {
		if rests {
			l.engine.feed.goOn()
		}
	}()
	for {
		changed := l.engine.window.Wait()
		outstanding, _, err := l.engine.deliverer.Window(ctx, l.consumer.Name)
		if err != nil {
			return 0, err
		}
		if room := l.consumer.Policy.Window - outstanding; room > 0 {
			return min(room, feedBatch), nil
		}
		if !rests {
			rests = true
			l.engine.feed.rest()
		}
		t := time.NewTimer(windowPoll)
		select {
		case <-changed:
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return 0, ctx.Err()
		}
		t.Stop()
	}
}

// rest counts a lane out that waits for room.
func (f *feed) rest() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.free()
}

// goOn ends a rest.
func (f *feed) goOn() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy++
}

// windowPoll is how often a full or an empty window is looked at when nothing announces a change.
const windowPoll = time.Second

// refill puts a parked event back into the window, for all that it was parked for. Who handles it there parks it
// again if need be.
func (l *lane) refill(ctx, work context.Context, key string) error {
	if _, err := l.room(ctx); err != nil {
		return err
	}
	p := l.quarantine.keys[key][0]
	d := l.delivery(p.Position, p.Event)
	d.ID = uuid.New() // likewise: workers may still answer to the delivery before
	c := eventstore.Commit{Deliveries: []eventstore.Delivery{d}}
	var all []eventstore.Parked
	for _, queue := range l.quarantine.keys {
		for _, other := range queue {
			if other.Position == p.Position {
				all, c.Unparks = append(all, other), append(c.Unparks, other.ID)
			}
		}
	}
	if _, err := l.send(work, c, stay, nil); err != nil {
		return err
	}
	for _, p := range all {
		l.quarantine.drop(p.Key, p.ID)
	}
	l.engine.window.Fire()
	return nil
}

// service is what becomes of a consumer's deliveries in this process.
type service struct {
	busy  int    // deliveries under way, or about to be
	turns int    // how often some were taken
	over  *shape // by which no more are to be taken
}

// team is the workers of one consumer in this process.
type team struct {
	*engine
	*consumer
	done chan struct{} // one has finished
	busy int
}

// compete hands the deliveries of a consumer to workers, until ctx ends. What is under way is finished first,
// unless the context named work ends too. An organ that has become Ordered is served until its window is empty:
// the events that are left there have no order any more.
func (e *engine) compete(ctx, work context.Context, c *consumer) {
	t := &team{e, c, make(chan struct{}, c.Policy.Workers), 0}
	for ctx.Err() == nil {
		changed := e.window.Wait()
		var poll <-chan time.Time
		if wait := t.fill(ctx, work); wait > 0 {
			poll = time.After(wait)
		}
		select {
		case <-t.done:
			t.busy--
			t.note(t.busy, 0)
		case <-changed:
		case <-poll:
		case <-ctx.Done():
		}
	}
	for ; t.busy > 0; t.busy-- {
		<-t.done
	}
	t.note(0, 0)
}

// fill has every free worker take a delivery. It returns when to look for more, 0 for not before something changes.
func (t *team) fill(ctx, work context.Context) time.Duration {
	s := t.shape(t.consumer)
	free := t.Policy.Workers - t.busy
	if s == nil || s == t.service().over || free == 0 {
		return 0
	}
	t.note(t.busy+1, 0)
	taken, wait, err := t.take(ctx, work, s, free)
	if err != nil && ctx.Err() == nil {
		t.storeFailed(work, fmt.Errorf("organ %s: take deliveries: %w", t.Name, err))
	}
	for _, d := range taken {
		go func() {
			t.serve(work, t.consumer, s, d)
			t.done <- struct{}{}
		}()
	}
	t.busy += len(taken)
	t.note(t.busy, len(taken))
	return wait
}

// take takes deliveries, and says when to look for more.
func (t *team) take(ctx, work context.Context, s *shape, free int) (taken []eventstore.Delivery, wait time.Duration, err error) {
	taken, err = t.deliverer.Take(ctx, t.Name, eventstore.Taking{Limit: free, Visibility: t.Policy.Visibility, Generation: s.generation})
	if err != nil {
		return nil, storePause, err
	}
	if len(taken) > 0 && !t.ours(ctx, work, s) {
		t.over(s)
		t.giveBack(work, taken)
		return nil, 0, nil
	}
	if len(taken) == free {
		return taken, 0, nil
	}
	outstanding, next, err := t.deliverer.Window(ctx, t.Name)
	switch {
	case err != nil:
		return taken, storePause, err
	case outstanding == 0 && !s.competing:
		t.over(s)
		return taken, 0, nil
	case next.IsZero():
		return taken, windowPoll, nil
	case len(taken) == 0 && !next.After(time.Now()): // it is paused, or its clock is behind ours
		return taken, storePause, nil
	}
	return taken, max(min(windowPoll, time.Until(next)), clockLeast), nil
}

// ours reports whether what was just taken is for our definition of the consumer. If there is a newer one, it may
// be an event that we know nothing of.
func (t *team) ours(ctx, work context.Context, s *shape) bool {
	for {
		r, err := t.leaser.Roster(ctx, t.Name)
		if err == nil {
			return r.Generation == s.generation
		}
		t.storeFailed(work, fmt.Errorf("organ %s: roster: %w", t.Name, err))
		if !pause(ctx, storePause) {
			return false
		}
	}
}

// giveBack has deliveries made again at once.
func (t *team) giveBack(ctx context.Context, taken []eventstore.Delivery) {
	t.roster.Fire()
	var c eventstore.Commit
	for _, d := range taken {
		c.Returns = append(c.Returns, eventstore.Return{Ack: ackOf(d), Due: time.Now().UTC(), Failure: failure(errOutdated)})
	}
	if _, err := t.store.Commit(ctx, c); err != nil { // then it happens when their time is up
		t.storeFailed(ctx, fmt.Errorf("organ %s: give deliveries back: %w", t.Name, err))
	}
}

// note accounts for deliveries.
func (t *team) note(busy, taken int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := &t.serving[t.index]
	v.busy, v.turns = busy, v.turns+min(taken, 1)
}

// over has nothing more taken by a shape.
func (t *team) over(s *shape) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.serving[t.index].over = s
}

func (t *team) service() service { return t.engine.service(t.consumer) }

func (e *engine) service(c *consumer) service {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.serving[c.index]
}
