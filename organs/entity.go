package organs

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

// entities are the states of an aggregate's streams, as far as they are kept in memory. One decision at a
// time works on a stream, so decisions within a process do not conflict with each other.
type entities[S any] struct {
	store     *eventstore.Store
	aggregate Aggregate[S]
	snapshots snapshots[S]
	size      int
	loads     loads // reads what nothing is known of
	rereads   bool  // the fold uses what only the log gives to an event, so its own events must be read

	mu sync.Mutex
	in map[eventstore.Stream]*entity[S]
}

// entity is the state of one stream. What is not under the mutex of entities belongs to its holder.
type entity[S any] struct {
	stream  eventstore.Stream
	state   S
	version eventstore.Version  // what is folded into state
	seen    eventstore.Position // no event that is not folded stands at or before it
	least   eventstore.Version  // what the last conflict has said of the stream: an upcaster may drop its last events
	last    mark                // the last event that is folded
	kept    eventstore.Version  // of the snapshot there is, or was to be
	loaded  bool
	stale   bool // there are own events to be read
	unread  int  // own events that cannot be read yet: they are not committed
	own     bool // last is one of ours, and where it stands is not known before it is committed

	turn chan struct{} // full while somebody holds it

	// Under the mutex.
	holder  any                 // the batch that does, nil for a command
	uses    int                 // decisions of the holder that are not settled
	waiting int                 // others
	broken  bool                // a decision of the holder came to nothing
	first   eventstore.Position // of the commit of the holder's decisions; 0 for none
	stands  eventstore.Version  // what a conflict of the holder has said of the stream
}

func newEntity[S any](stream eventstore.Stream) *entity[S] {
	return &entity[S]{stream: stream, turn: make(chan struct{}, 1)}
}

// mark is an event of a stream, and a position that it stands behind.
type mark struct {
	version eventstore.Version
	id      uuid.UUID
	after   eventstore.Position
}

func newEntities[S any](st *eventstore.Store, a Aggregate[S]) *entities[S] {
	es := &entities[S]{
		store: st, aggregate: a, loads: loads{store: st}, snapshots: snapshotsOf(st, a), size: a.Cache, rereads: a.Evolve.SeesRecord(),
		in: map[eventstore.Stream]*entity[S]{},
	}
	if es.size == 0 {
		es.size = 1024
	}
	return es
}

// decide decides about one entity. The entity is held until what follows from it is settled.
func (es *entities[S]) decide(ctx context.Context, id string, d Decider[S], in any) (out spine.Output, err error) {
	stream, err := streamOf(es.aggregate.Category, id)
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
			es.release(ctx, e, broken)
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
	return spine.Output{Commit: c, Settled: func(r eventstore.Result, err error) { es.settle(ctx, e, r, err) }}, refusal
}

// decideAll decides about one event for all entities that it concerns.
func (es *entities[S]) decideAll(ctx context.Context, ids []string, d Decider[S], ev eventstore.Event) (out spine.Output, err error) {
	if len(ids) == 1 {
		return es.decide(ctx, ids[0], d, d.concerning(ids[0], ev))
	}
	var settled []func(eventstore.Result, error)
	settle := func(r eventstore.Result, err error) {
		for _, f := range settled {
			f(r, err)
		}
	}
	undecided := errors.New("it was not decided for all entities")
	defer func() { // also after a panic
		if undecided != nil {
			settle(eventstore.Result{}, undecided)
		}
	}()
	for _, id := range ids {
		one, err := es.decide(ctx, id, d, d.concerning(id, ev))
		if one.Settled != nil {
			settled = append(settled, one.Settled)
		}
		if err != nil {
			return spine.Output{}, fmt.Errorf("%s: %w", id, err)
		}
		c := &out.Commit
		c.Appends = append(c.Appends, one.Commit.Appends...)
		c.Unless = append(c.Unless, one.Commit.Unless...)
		c.Schedules = append(c.Schedules, one.Commit.Schedules...)
		c.Cancels = append(c.Cancels, one.Commit.Cancels...)
		out.Seen = one.Seen
	}
	undecided, out.Settled = nil, settle
	return out, nil
}

// streamOf holds an entity's id to the rules, and names its stream.
func streamOf(category, id string) (eventstore.Stream, error) {
	if err := eventstore.CheckName("stream id", id); err != nil {
		return "", err
	}
	stream := eventstore.StreamOf(category, id)
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
	restored := !e.loaded && es.snapshots.restore(ctx, e)
	changed, through, proven, err := es.read(ctx, e)
	if err == nil && restored && !proven { // the snapshot is of another log: this one was set back
		e.forget()
		changed, through, _, err = es.read(ctx, e)
	}
	if err != nil {
		return changed, err
	}
	e.version = max(e.version, e.least)
	e.seen, e.loaded, e.stale = max(e.seen, through), true, false
	return changed, nil
}

// read folds the events that come after what the entity has seen. It says whether the last event that was folded
// already is among them; without it, it folds none into a state that came from elsewhere.
func (es *entities[S]) read(ctx context.Context, e *entity[S]) (changed bool, through eventstore.Position, proven bool, err error) {
	folded, proven := e.version, e.loaded || e.version == 0
	if proven && e.seen == 0 { // nothing of it is known
		found, done := es.loads.together(ctx, e.stream)
		defer done()
		if found != nil {
			return len(found.events[e.stream]) > 0, found.through, true, es.takeAll(e, found)
		}
	}
	r := eventstore.Range{After: e.seen, Through: &through}
	for ev, err := range es.store.Read(ctx, eventstore.InStream(e.stream), r) {
		if err != nil {
			return changed, 0, proven, err
		}
		if ev.Version <= folded { // in the state already, with all its parts
			proven = proven || ev.Version == e.last.version && ev.ID == e.last.id
			continue
		}
		if !proven {
			break
		}
		if err := es.take(e, ev); err != nil {
			return changed, 0, proven, err
		}
		changed = true
	}
	return changed, through, proven, nil
}

// takeAll folds what was found of a stream.
func (es *entities[S]) takeAll(e *entity[S], found *load) error {
	for _, ev := range found.events[e.stream] {
		if err := es.take(e, ev); err != nil {
			return err
		}
	}
	return nil
}

// take folds an event of the log.
func (es *entities[S]) take(e *entity[S], ev eventstore.Event) error {
	if err := es.apply(&e.state, ev); err != nil {
		return err
	}
	if e.version = ev.Version; ev.Version > e.last.version {
		e.last, e.own = mark{ev.Version, ev.ID, ev.Position - 1}, false
	}
	return nil
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
		e.last, e.own = mark{version: e.version, id: ev.ID}, true
	}
	return nil
}

func (es *entities[S]) apply(s *S, ev eventstore.Event) error {
	if err := es.aggregate.Evolve.Apply(s, ev); !errors.Is(err, eventstore.ErrUnknownType) {
		return err
	}
	return nil
}
