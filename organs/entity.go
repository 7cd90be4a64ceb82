package organs

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

// entities are the states of an aggregate's streams, as far as they are kept in memory. One decision at a
// time works on a stream, so decisions within a process do not conflict with each other.
type entities[S any] struct {
	store     *eventstore.Store
	aggregate Aggregate[S]
	size      int
	rereads   bool // the fold uses what only the log gives to an event, so its own events must be read

	mu sync.Mutex
	in map[eventstore.Stream]*entity[S]
}

// entity is the state of one stream. What is not under the mutex of entities belongs to its holder.
type entity[S any] struct {
	stream  eventstore.Stream
	state   S
	version eventstore.Version  // what is folded into state
	seen    eventstore.Position // no event that is not folded stands at or before it
	least   eventstore.Version  // what the stream is known to stand at: an upcaster may drop its last events
	loaded  bool
	stale   bool // there are own events to be read
	unread  int  // own events that cannot be read yet: they are not committed

	turn chan struct{} // full while somebody holds it

	// Under the mutex.
	holder  any                 // the batch that does, nil for a command
	uses    int                 // decisions of the holder that are not settled
	waiting int                 // others
	broken  bool                // a decision of the holder came to nothing
	first   eventstore.Position // of the commit of the holder's decisions; 0 for none
	stands  eventstore.Version  // what a conflict has said of the stream
}

func newEntities[S any](st *eventstore.Store, a Aggregate[S]) *entities[S] {
	es := &entities[S]{store: st, aggregate: a, size: a.Cache, rereads: a.Evolve.SeesRecord(), in: map[eventstore.Stream]*entity[S]{}}
	if es.size == 0 {
		es.size = 1024
	}
	return es
}

// decide decides about one entity. The entity is held until what follows from it is settled.
func (es *entities[S]) decide(ctx context.Context, id string, d Decider[S], in any) (out spine.Output, err error) {
	stream, err := es.streamOf(id)
	if err != nil {
		return out, err
	}
	e, err := es.acquire(ctx, stream, spine.Batch(ctx))
	if err != nil {
		return out, fmt.Errorf("wait for %s: %w", stream, err)
	}
	held, broken := true, true // a panic leaves a state that nobody should trust
	defer func() {
		if held {
			es.release(e, broken)
		}
	}()
	if e.unread > 0 {
		broken = false
		return out, spine.ErrCommitFirst
	}
	events, refusal, err := es.ask(ctx, e, d, in)
	if err != nil {
		return out, err
	}
	if refusal != nil && !d.event {
		refusal = &spine.RejectedError{Command: d.typ, Err: refusal}
	}
	if len(events) == 0 || refusal != nil && !d.event {
		broken = false
		out.Seen = eventstore.Result{Position: e.seen, Versions: []eventstore.Version{e.version}}
		return out, refusal
	}
	c, own, err := commitOf(es.store, events, stream, eventstore.Exact(e.version))
	if err != nil {
		return out, fmt.Errorf("decision on %s: %w", d.typ, errors.Join(refusal, err))
	}
	if len(own) == 0 { // no append says what is expected of the stream
		c.Unless = []eventstore.Condition{{Query: eventstore.InStream(stream), After: e.seen}}
	}
	if err := es.fold(e, own); err != nil {
		return out, fmt.Errorf("decision on %s: %w", d.typ, err)
	}
	held = false
	return spine.Output{Commit: c, Settled: func(r eventstore.Result, err error) { es.settle(e, r, err) }}, refusal
}

// streamOf holds an entity's id to the rules, and names its stream.
func (es *entities[S]) streamOf(id string) (eventstore.Stream, error) {
	if err := eventstore.CheckName("stream id", id); err != nil {
		return "", err
	}
	stream := eventstore.StreamOf(es.aggregate.Category, id)
	return stream, eventstore.CheckName("stream", string(stream))
}

// ask decides on a state that is current, or that the commit will prove current.
func (es *entities[S]) ask(ctx context.Context, e *entity[S], d Decider[S], in any) (out Events, refusal, err error) {
	current := !e.loaded || e.stale
	if current {
		if _, err := es.refresh(ctx, e); err != nil {
			return nil, nil, err
		}
	}
	for {
		out, refusal = d.decide(e.state, in)
		if current || refusal == nil && out.appendTo(e.stream) {
			return out, refusal, nil
		}
		changed, err := es.refresh(ctx, e)
		if err != nil || !changed {
			return out, refusal, err
		}
		current = true
	}
}

// refresh folds what has come since, and reports whether there was anything.
func (es *entities[S]) refresh(ctx context.Context, e *entity[S]) (changed bool, err error) {
	var through eventstore.Position
	r := eventstore.Range{After: e.seen, Through: &through}
	for ev, err := range es.store.Read(ctx, eventstore.InStream(e.stream), r) {
		if err != nil {
			return changed, err
		}
		if ev.Version <= e.version && ev.Part == 0 {
			continue // our own, folded when it was decided
		}
		if err := es.apply(&e.state, ev); err != nil {
			return changed, err
		}
		e.version, changed = ev.Version, true
	}
	e.version = max(e.version, e.least)
	e.seen, e.loaded, e.stale = max(e.seen, through), true, false
	return changed, nil
}

// fold brings the state up to the events that are about to be committed.
func (es *entities[S]) fold(e *entity[S], own []eventstore.Event) error {
	if es.rereads {
		e.unread += len(own)
		return nil
	}
	for _, ev := range own {
		if err := es.apply(&e.state, ev); err != nil {
			return err
		}
		e.version++
	}
	return nil
}

func (es *entities[S]) apply(s *S, ev eventstore.Event) error {
	if err := es.aggregate.Evolve.Apply(s, ev); !errors.Is(err, eventstore.ErrUnknownType) {
		return err
	}
	return nil
}

// settle ends a decision. Another of the same batch may still be under way, if it was given up.
func (es *entities[S]) settle(e *entity[S], r eventstore.Result, err error) {
	es.mu.Lock()
	if err == nil {
		e.first = r.First
	}
	if conflict, ok := errors.AsType[*eventstore.ConflictError](err); ok && conflict.Stream == e.stream {
		e.stands = conflict.Actual
	}
	es.mu.Unlock()
	es.release(e, err != nil)
}

// acquire waits for the entity's turn, unless the same batch has it already.
func (es *entities[S]) acquire(ctx context.Context, stream eventstore.Stream, batch any) (*entity[S], error) {
	es.mu.Lock()
	e := es.in[stream]
	if e == nil {
		e = &entity[S]{stream: stream, turn: make(chan struct{}, 1)}
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

// release ends one use.
func (es *entities[S]) release(e *entity[S], broken bool) {
	es.mu.Lock()
	defer es.mu.Unlock()
	e.broken = e.broken || broken
	if e.uses--; e.uses > 0 {
		return
	}
	e.settled()
	e.holder = nil
	<-e.turn
	for _, other := range es.in { // any will do: the order of a map is as good as random
		if len(es.in) <= es.size {
			break
		}
		if other.uses == 0 && other.waiting == 0 {
			delete(es.in, other.stream)
		}
	}
}

// settled brings the state up to what became of the decisions on it. A broken one is forgotten.
func (e *entity[S]) settled() {
	switch {
	case e.broken:
		var zero S
		e.state, e.version, e.seen, e.unread, e.loaded, e.stale = zero, 0, 0, 0, false, false
	case e.first > 0:
		e.seen = max(e.seen, e.first-1)
		e.stale = e.stale || e.unread > 0
		e.unread = 0
	}
	e.least, e.first, e.broken = e.stands, 0, false
}
