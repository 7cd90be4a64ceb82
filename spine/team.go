package spine

import (
	"context"
	"fmt"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// team is the workers of one consumer in this process. It has in its hands what they work on, what they have made that is
// about to be committed, and as much ahead as they handle in a hundredth of the time that a delivery may wait for them.
type team struct {
	*engine
	*consumer
	hands    hands
	workers  chan *worker  // that are free; nil: to be made
	calls    chan *handed  // for goroutines that have nothing to do: stacks as deep as a commit's are dear to make
	patience time.Duration // how long a delivery may wait for one, from when it was taken
}

// Bounds of what a team has in its hands.
const (
	spareMost = 256         // deliveries, beside those that workers are for
	spareTime = time.Second // how long they wait for a worker before they pass to others

	shortTime = 2 * time.Millisecond // between takings of a busy team that find less than they ask for
)

func newTeam(e *engine, c *consumer) *team {
	p := &c.Policy
	t := &team{
		engine: e, consumer: c, hands: newHands(), workers: make(chan *worker, p.Workers), calls: make(chan *handed),
		patience: min(spareTime, max(0, p.Visibility-p.Deadline)), // a handler has all of its time
	}
	for range p.Workers {
		t.workers <- nil
	}
	return t
}

// end ends the workers, when all of them are free.
func (t *team) end() {
	close(t.calls)
	for range t.Policy.Workers {
		if w := <-t.workers; w != nil {
			close(w.jobs)
		}
	}
}

// compete hands the deliveries of a consumer to workers, until ctx ends. What is under way is finished first,
// unless the context named work ends too; what waits for a worker passes to others. An organ that has become Ordered is
// served until its window is empty: the events that are left there have no order any more.
func (e *engine) compete(ctx, work context.Context, c *consumer) {
	t := newTeam(e, c)
	for ctx.Err() == nil {
		changed := e.window.Wait()
		asked, taken, wait := t.fill(ctx, work)
		if taken < asked {
			t.breathe(ctx)
		}
		if taken > 0 {
			continue // there may be more
		}
		var poll <-chan time.Time
		if wait > 0 {
			poll = time.After(wait)
		}
		select {
		case <-t.hands.changed:
			t.note(t.hands.count(), 0)
		case <-changed:
		case <-poll:
		case <-ctx.Done():
		}
	}
	for t.hands.count() > 0 {
		<-t.hands.changed
	}
	t.note(0, 0)
	t.end()
}

// breathe lets deliveries gather before the next taking, as long as the team has something to do.
func (t *team) breathe(ctx context.Context) {
	if t.hands.count() == 0 {
		return
	}
	defer func() { t.note(t.hands.count(), 0) }()
	enough := time.NewTimer(shortTime)
	defer enough.Stop()
	for t.hands.count() > 0 {
		select {
		case <-enough.C:
			return
		case <-t.hands.changed:
		case <-ctx.Done():
			return
		}
	}
}

// fill takes as many deliveries as the team has room for. It returns how many it has asked for and got, and, if these are none, when
// to look for more: 0 for not before something changes.
func (t *team) fill(ctx, work context.Context) (asked, got int, wait time.Duration) {
	s := t.shape(t.consumer)
	limit, ahead := t.hands.room(t.Policy.Workers, t.patience)
	if s == nil || s == t.service().over || limit+ahead == 0 {
		return 0, 0, 0
	}
	t.note(t.hands.count()+1, 0)
	began := time.Now()
	taken, err := t.deliverer.Take(ctx, t.Name, eventstore.Taking{
		Limit: limit, Ahead: ahead, Visibility: t.Policy.Visibility, Generation: s.generation,
	})
	if len(taken) > 0 {
		t.hands.take(len(taken))
		go t.handOut(ctx, work, s, taken, began)
	} else if err == nil {
		wait, err = t.next(ctx, s)
	}
	if err != nil {
		wait = storePause
		if ctx.Err() == nil {
			t.storeFailed(work, fmt.Errorf("organ %s: take deliveries: %w", t.Name, err))
		}
	}
	t.note(t.hands.count(), len(taken))
	return limit + ahead, len(taken), wait
}

// next says when to look for more where nothing was to be taken.
func (t *team) next(ctx context.Context, s *shape) (wait time.Duration, err error) {
	outstanding, next, err := t.deliverer.Window(ctx, t.Name)
	switch {
	case err != nil:
		return 0, err
	case outstanding == 0 && !s.competing:
		t.over(s)
		return 0, nil
	case next.IsZero():
		return windowPoll, nil
	case !next.After(time.Now()): // it is paused, of a newer definition, or not for us to take ahead; or its clock is behind ours
		return storePause, nil
	}
	return max(min(windowPoll, time.Until(next)), clockLeast), nil
}

// handOut has what was taken handled, each delivery by itself.
func (t *team) handOut(ctx, work context.Context, s *shape, taken []eventstore.Delivery, began time.Time) {
	late := make(chan struct{})
	time.AfterFunc(t.patience-time.Since(began), func() { close(late) })
	for i, in := range t.events(work, taken) {
		h := &handed{
			lane: lane{engine: t.engine, consumer: t.consumer, shape: s}, team: t, Delivery: taken[i], in: in,
			ack: ackOf(taken[i]), ends: ctx.Done(), late: late, over: began.Add(t.Policy.Visibility),
		}
		h.discount()
		select {
		case t.calls <- h:
		default:
			go t.serve(work, h)
		}
	}
}

// serve handles a delivery, and then whatever else there is for it, until the team ends.
func (t *team) serve(ctx context.Context, h *handed) {
	for more := true; more; h, more = <-t.calls {
		h.serve(ctx)
		t.hands.done()
	}
}

// service is what becomes of a consumer's deliveries in this process.
type service struct {
	busy  int    // deliveries under way, or about to be
	turns int    // how often some were taken
	over  *shape // by which no more are to be taken
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

// service is what becomes of the deliveries of the team.
func (t *team) service() service { return t.engine.service(t.consumer) }

func (e *engine) service(c *consumer) service {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.serving[c.index]
}
