package projections

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/lossless"
)

// Snapshot says when a live fold keeps a state in the store, so that not all has to be folded again the next time. The zero
// Snapshot: never. It needs a backend that is an eventstore.Snapshotter.
//
// A snapshot is a cache. Of each stream and each query one is kept, the latest. It is taken when a fold up to now has come
// across Every events or more since the one before; it serves each question about a later point. One that cannot be saved
// or read, that is later than what is asked for, or that is not of this log, costs time, and nothing else. So does a state
// that would not come back from JSON as it went in: it is not kept. A type that JSON loses for certain is a fault.
type Snapshot struct {
	Every   int // events from one snapshot to the next. Defaults to none
	Version int // to be raised whenever S, Fold or an upcaster changes what a state is: older snapshots are not used then
}

// snapshotTime is how long a question may wait for a snapshot, which is a cache.
const snapshotTime = 5 * time.Second

// snapshots is where those of a question are kept.
type snapshots struct {
	keeper eventstore.Snapshotter // nil: nowhere
	fold   string
	stream eventstore.Stream
}

// snapshotsOf names the fold among all. Those of aggregates begin with a category, which has no "-".
func (l Live[S]) snapshotsOf(kind string) string {
	return fmt.Sprintf("live-%s-%s/%d", kind, l.Name, l.Snapshot.Version)
}

// digest stands for a query in place of a stream: it is the same for queries that are made of the same items, in whatever
// order.
func digest(q eventstore.Query) eventstore.Stream {
	items := q.Items()
	texts := make([]string, len(items))
	for i, it := range items {
		slices.Sort(it.Types)
		slices.Sort(it.Tags)
		texts[i] = fmt.Sprintf("%q %q %q %q\n", it.Stream, it.Category, slices.Compact(it.Types), slices.Compact(it.Tags))
	}
	slices.Sort(texts)
	sum := sha256.New()
	for _, text := range slices.Compact(texts) {
		sum.Write([]byte(text))
	}
	return eventstore.Stream(hex.EncodeToString(sum.Sum(nil)))
}

// kept is what a snapshot holds: the state, and the last event in it, so that it can be told from another log's.
type kept struct {
	Event    uuid.UUID           `json:"event"`
	Position eventstore.Position `json:"position"`
	State    json.RawMessage     `json:"state"`
}

// restore begins with the snapshot, if there is one that is not later than what is asked for.
func (q *question[S]) restore(ctx context.Context) {
	if q.snapshots.keeper == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, snapshotTime)
	defer cancel()
	s, err := q.snapshots.keeper.Snapshot(ctx, q.snapshots.fold, q.snapshots.stream)
	if err != nil {
		return
	}
	var in kept
	if err := json.Unmarshal(s.Data, &in); err != nil || in.Position <= 0 {
		return
	}
	if q.end.version > 0 && s.Version > q.end.version || q.end.position > 0 && in.Position > q.end.position {
		return
	}
	if state, err := lossless.Decode[S](in.State); err == nil {
		q.value, q.last = state, mark{in.Event, s.Version, in.Position}
	}
}

// save keeps the state, if it is of now and the time has come. That it failed shows in nothing but time.
func (q *question[S]) save(ctx context.Context) {
	if q.snapshots.keeper == nil || q.end.bounded || q.count < q.live.Snapshot.Every {
		return
	}
	state, err := lossless.Encode(&q.value)
	if err != nil {
		return
	}
	data, err := json.Marshal(kept{q.last.id, q.last.position, state})
	if err != nil {
		return
	}
	s := eventstore.Snapshot{Fold: q.snapshots.fold, Stream: q.snapshots.stream, Version: q.last.version, Data: data}
	if q.stream == "" {
		s.Version = eventstore.Version(q.last.position)
	}
	ctx, cancel := context.WithTimeout(ctx, snapshotTime)
	defer cancel()
	_ = q.snapshots.keeper.Save(ctx, s)
}
