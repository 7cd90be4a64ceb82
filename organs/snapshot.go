package organs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/lossless"
	"github.com/necrostack/necrostack/spine"
)

// Snapshot says when an aggregate keeps a state in the store, so that a long stream need not be folded from its
// beginning when its state is not in the cache. The zero Snapshot: never. It needs a backend that is an
// eventstore.Snapshotter.
//
// A snapshot is a cache. It is kept right after a decision was committed; if that fails, or if the state would
// not come back from JSON as it went in, there is none, and nothing else fails. One that cannot be read, or
// that is not of this log, is passed over. A type that JSON loses for certain is a fault of Attach; the rest
// shows in tests: see Aggregate.CheckSnapshot.
type Snapshot struct {
	Every   int // events of a stream from one snapshot to the next. Defaults to none
	Version int // to be raised whenever S, Evolve or an upcaster changes what a state is: older snapshots are not used then
}

// faultOf reports all that stands against snapshots of S, if they are wanted.
func faultOf[S any](s Snapshot, b eventstore.Backend) error {
	if s.Every < 0 || s.Version < 0 {
		return fmt.Errorf("snapshot: Every is %d and Version is %d: they must not be negative", s.Every, s.Version)
	}
	if s.Every == 0 {
		return nil
	}
	err := lossless.Faults[S]()
	if _, ok := b.(eventstore.Snapshotter); !ok {
		err = errors.Join(err, fmt.Errorf("snapshot: backend %T keeps no snapshots", b))
	}
	return err
}

// snapshotTime is how long a decision may wait for a snapshot, which is a cache.
const snapshotTime = 5 * time.Second

// snapshots are those of one aggregate.
type snapshots[S any] struct {
	keeper eventstore.Snapshotter // nil: there are none
	fold   string
	every  eventstore.Version
}

func snapshotsOf[S any](st *eventstore.Store, a Aggregate[S]) (k snapshots[S]) {
	if a.Snapshot.Every > 0 {
		k.keeper, _ = st.Backend().(eventstore.Snapshotter)
	}
	k.fold, k.every = fmt.Sprintf("%s/%d", a.Category, a.Snapshot.Version), eventstore.Version(a.Snapshot.Every)
	return k
}

// kept is what a snapshot holds: the state, and the last event in it, so that it can be told from another log's.
type kept struct {
	Event uuid.UUID           `json:"event"`
	After eventstore.Position `json:"after"` // the event stands behind it
	State json.RawMessage     `json:"state"`
}

// restore sets an entity to its snapshot, and reports whether there is one.
func (k snapshots[S]) restore(ctx context.Context, e *entity[S]) bool {
	if k.keeper == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, snapshotTime)
	defer cancel()
	s, err := k.keeper.Snapshot(ctx, k.fold, e.stream)
	if err != nil || s.Version <= 0 {
		return false
	}
	var in kept
	if err := json.Unmarshal(s.Data, &in); err != nil || in.After < 0 {
		return false
	}
	state, err := lossless.Decode[S](in.State)
	if err != nil {
		return false
	}
	e.state, e.version, e.seen, e.kept = state, s.Version, in.After, s.Version
	e.last = mark{s.Version, in.Event, in.After}
	return true
}

// due reports whether it is time for a snapshot of an entity that has so many committed events ahead of its
// state; -1 if nothing was committed.
func (k snapshots[S]) due(e *entity[S], ahead int) bool {
	return k.keeper != nil && ahead >= 0 && e.last.version > e.kept && e.version+eventstore.Version(ahead)-e.kept >= k.every
}

// take makes a snapshot, or nil if JSON does not keep the state. The next one is due so many events later, whatever
// becomes of this one.
func (k snapshots[S]) take(e *entity[S]) *eventstore.Snapshot {
	e.kept = e.last.version
	state, err := lossless.Encode(&e.state)
	if err != nil {
		return nil
	}
	data, err := json.Marshal(kept{e.last.id, e.last.after, state})
	if err != nil {
		return nil
	}
	return &eventstore.Snapshot{Fold: k.fold, Stream: e.stream, Version: e.last.version, Data: data}
}

// save keeps a snapshot, if there is one. That it failed shows in nothing but time.
func (k snapshots[S]) save(ctx context.Context, s *eventstore.Snapshot) {
	if s == nil {
		return
	}
	if spine.Batch(ctx) != nil {
		ctx = context.WithoutCancel(ctx) // the handler that it was given to is done
	}
	ctx, cancel := context.WithTimeout(ctx, snapshotTime)
	defer cancel()
	_ = k.keeper.Save(ctx, *s)
}

// CheckSnapshot returns why a snapshot would not keep the state: JSON makes another one of it. Without
// snapshots, or if the state survives, it is nil. Package organstest checks every state that it decides on.
func (a Aggregate[S]) CheckSnapshot(state S) error {
	if a.Snapshot.Every <= 0 {
		return nil
	}
	_, err := lossless.Encode(&state)
	return err
}
