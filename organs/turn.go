package organs

import (
	"context"
	"errors"

	"github.com/necrostack/necrostack/eventstore"
)

// acquire waits for the entity's turn, unless the same batch has it already.
func (es *entities[S]) acquire(ctx context.Context, stream eventstore.Stream, batch any) (*entity[S], error) {
	es.mu.Lock()
	e := es.in[stream]
	if e == nil {
		e = newEntity[S](stream)
		es.in[stream] = e
	}
	if batch != nil && e.holder == batch {
		e.uses++
		es.mu.Unlock()
		return e, nil
	}
	e.waiting++
	es.mu.Unlock()
	var err error
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	es.mu.Lock()
	defer es.mu.Unlock()
	e.waiting--
	if err == nil {
		e.holder, e.uses = batch, 1
	}
	return e, err
}

// settle ends a decision. Another of the same batch may still be under way, if it was given up.
func (es *entities[S]) settle(ctx context.Context, e *entity[S], r eventstore.Result, err error) {
	es.mu.Lock()
	if err == nil {
		e.first = r.First
	}
	if conflict, ok := errors.AsType[*eventstore.ConflictError](err); ok && conflict.Stream == e.stream {
		e.stands = conflict.Actual
	}
	es.mu.Unlock()
	es.release(ctx, e, err != nil)
}

// release ends one use. The last one ends the holder's turn, and may leave a snapshot.
func (es *entities[S]) release(ctx context.Context, e *entity[S], broken bool) {
	es.mu.Lock()
	e.broken = e.broken || broken
	if e.uses > 1 {
		e.uses--
		es.mu.Unlock()
		return
	}
	ahead := e.settled()
	e.holder = nil // from here on, a decision of the same batch that was given up waits like any other
	var taken *eventstore.Snapshot
	if es.snapshots.due(e, ahead) {
		es.mu.Unlock()
		taken = es.snapshots.take(e)
		es.mu.Lock()
	}
	e.uses = 0
	<-e.turn
	es.evict()
	es.mu.Unlock()
	es.snapshots.save(ctx, taken)
}

// evict forgets entities that nobody uses, as far as there are too many; but not what a conflict has said of one,
// before it is decided on again.
func (es *entities[S]) evict() {
	for _, other := range es.in { // any will do: the order of a map is as good as random
		if len(es.in) <= es.size {
			break
		}
		if other.uses == 0 && other.waiting == 0 && other.least == 0 {
			delete(es.in, other.stream)
		}
	}
}

// settled brings the state up to what became of the decisions on it. A broken one is forgotten. It returns how
// many events of the stream, all committed now, are not in the state; -1 if nothing was committed.
func (e *entity[S]) settled() (ahead int) {
	ahead = -1
	switch {
	case e.broken:
		e.forget()
	case e.first > 0:
		e.seen = max(e.seen, e.first-1)
		if e.own {
			e.last.after, e.own = e.first-1, false
		}
		e.stale = e.stale || e.unread > 0
		ahead, e.unread = e.unread, 0
	}
	e.least, e.stands, e.first, e.broken = e.stands, 0, 0, false
	return ahead
}

// forget makes the entity be loaded anew.
func (e *entity[S]) forget() {
	var zero S
	e.state, e.version, e.seen, e.last, e.kept = zero, 0, 0, mark{}, 0
	e.unread, e.own, e.loaded, e.stale = 0, false, false, false
}
