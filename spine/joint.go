package spine

import (
	"context"
	"reflect"
	"runtime"
	"sync"

	"github.com/necrostack/necrostack/eventstore"
)

// joint lets the lanes of a consumer that want to commit at the same time do so together: what waits while one commit is
// written goes into the next, as in the store's own group commit.
type joint struct {
	mu    sync.Mutex
	busy  bool
	queue []*joining
}

// joining is a lane that wants to commit.
type joining struct {
	lane *lane
	out  *Output
	to   eventstore.Position
	done bool          // another lane has committed for it
	solo bool          // it has failed to: the lane is to commit by itself
	turn chan struct{} // closed when it is done, or when it is its turn to commit
}

// sendJointly is send for what was gathered, together with what other lanes have gathered.
func (l *lane) sendJointly(ctx context.Context, out *Output, to eventstore.Position) error {
	if !reflect.ValueOf(out.Commit).IsZero() { // there is more to it than rows
		_, err := l.send(ctx, out.Commit, to, out.Into)
		return err
	}
	j, own := &l.consumer.joint, &joining{lane: l, out: out, to: to, turn: make(chan struct{})}
	j.mu.Lock()
	j.queue = append(j.queue, own)
	wait := j.busy
	j.busy = true
	j.mu.Unlock()
	if wait {
		<-own.turn // whoever commits comes to an end, or ctx, which is theirs too, ends it
		switch {
		case own.done:
			return nil
		case own.solo:
			_, err := l.send(ctx, out.Commit, to, out.Into)
			return err
		}
	}
	defer j.pass()
	if all, into := j.take(own); len(all) > 1 {
		if l.engine.commitAll(ctx, l.consumer, all, into) {
			return nil
		}
	}
	_, err := l.send(ctx, out.Commit, to, out.Into)
	return err
}

// take takes those out of the queue whose outputs can be written as one with own's. Whoever was woken with it comes first.
func (j *joint) take(own *joining) (all []*joining, into eventstore.Pending) {
	runtime.Gosched()
	j.mu.Lock()
	defer j.mu.Unlock()
	into, all = own.out.Into, []*joining{own}
	left := j.queue[:0]
	for _, other := range j.queue {
		if other == own {
			continue
		}
		if joined, ok := join(into, other.out.Into); ok {
			into, all = joined, append(all, other)
		} else {
			left = append(left, other)
		}
	}
	j.queue = left
	return all, into
}

// join makes one of two, either of which may be nil.
func join(a, b eventstore.Pending) (eventstore.Pending, bool) {
	if a == nil || b == nil {
		if a == nil {
			a = b
		}
		return a, true
	}
	if both, ok := a.(eventstore.Joiner); ok {
		return both.Join(b)
	}
	return nil, false
}

// pass gives the turn to the next.
func (j *joint) pass() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.busy = len(j.queue) > 0; j.busy {
		close(j.queue[0].turn)
	}
}

// commitAll tries once to write what several lanes have gathered. If that fails, for whatever reason, each has to commit by
// itself, and finds out: the same checkpoints, sent again, are no harm.
func (e *engine) commitAll(ctx context.Context, c *consumer, all []*joining, into eventstore.Pending) bool {
	moves := make([]move, len(all))
	for i, a := range all {
		moves[i] = move{a.lane, e.feed.checkpointTo(a.lane, a.to)}
	}
	_, err := e.commit(ctx, c.Name, eventstore.Commit{Checkpoints: checkpoints(moves)}, into)
	if err != nil {
		for _, a := range all[1:] {
			a.solo = true
			close(a.turn)
		}
		return false
	}
	e.feed.settle(moves, true)
	e.idle.Fire()
	for _, a := range all[1:] {
		a.done = true
		close(a.turn)
	}
	if all[0].lane.shape.until > 0 {
		e.roster.Fire()
	}
	return true
}
