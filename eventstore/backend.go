package eventstore

import (
	"context"
	"encoding/json"
	"iter"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Backend keeps one log and its promises: order, versions, atomicity, guard, durability, idempotence,
// immutability, fencing (see the package comment). Implementers satisfy it and prove it with
// eventstore/storetest; users hold a Store, which checks every limit before it calls.
// All methods are safe for concurrent use.
type Backend interface {
	// Commit decides each commit of the batch by itself, all or nothing, and returns one outcome for each,
	// in order. For each it checks ids, then fences, then expectations and conditions, then writes.
	// The commits are independent of each other: they share no id, checkpoint or parked entry, no stream
	// unless none of them expects anything of it, and no condition of one matches an event of another.
	// The backend owns what the commits refer to and must not change it; the slice itself is only lent.
	//
	// An error is about the whole batch. It means that nothing was written, unless it is ErrOutcomeUnknown;
	// ErrRefused asks for the batch to be sent again in halves. ctx ends only when the store is closed, unless the
	// backend is a Prompt.
	Commit(ctx context.Context, batch []Commit) ([]Outcome, error)

	// Read yields copies of the events that match q within r, from one snapshot of the log, in order of
	// position, newest first if r.Backward. It stores the snapshot's head in r.Through, if not nil, before
	// it ends by itself without an error. An error ends it.
	Read(ctx context.Context, q Query, r Range) iter.Seq2[Event, error]

	// Close releases what the backend holds. Nothing is called after it.
	Close() error
}

// Outcome is what became of one commit of a batch.
type Outcome struct {
	Result Result // but for First, which the Store fills in
	Err    error  // *ConflictError, *ConditionError, *FencedError, ErrIDReused, or nil
}

// Range bounds a read. The zero Range is the whole log, oldest first.
type Range struct {
	After    Position // only events after it
	UpTo     Position // only events up to and including it. Defaults to the head
	Limit    int      // at most so many stored events. Defaults to no limit
	Backward bool     // newest first

	// Through, if not nil, receives how far the read has looked when it ends without an error: the head of
	// its snapshot (or UpTo, if smaller), or the last event's position when Limit or a break ended a forward
	// read. No event up to there can appear any more, so a reader may go on from Through.
	Through *Position
}

// Prompt is implemented by backends whose Commit returns soon after its ctx has ended, whatever the log's server does:
// with ErrOutcomeUnknown, unless nothing was sent. The ctx of a commit that nothing else is written with is its caller's
// then, and the store calls Commit where the caller waits anyway.
type Prompt interface {
	Backend
	Prompt()
}

// Follower is implemented by backends that have no events of their own: they keep consumers of another store's, and refuse
// appends, schedules and conditions. What puts events into the log belongs on that store.
type Follower interface {
	Backend
	Follows()
}

// Pulse says how far a log has come.
type Pulse struct {
	Head   Position // the last event's position
	Roster int64    // grows whenever some Roster but for its positions has changed: members, control, redrives
	Window int64    // grows whenever there may be more deliveries to take
}

// Waker is implemented by backends that can tell when something has happened.
type Waker interface {
	// Wait returns the present pulse as soon as it differs from what was seen, or when ctx ends, then
	// without an error. It may return early; it may miss a change made by another process.
	Wait(ctx context.Context, seen Pulse) (Pulse, error)
}

// Scheduler is implemented by backends that keep schedules.
type Scheduler interface {
	// Fire moves up to limit schedules that are due, earliest first, into the log, each together with its
	// removal. It returns how many, and when the next one is due: the zero time if there is none.
	// Any number of processes may call it at once.
	Fire(ctx context.Context, limit int) (fired int, next time.Time, err error)

	// Scheduled yields copies of the schedules that have not fired, earliest first.
	Scheduled(ctx context.Context) iter.Seq2[Schedule, error]
}

// Parker is implemented by backends that keep parked entries.
type Parker interface {
	// Parked yields copies of the matching entries in order of position.
	Parked(ctx context.Context, f ParkedFilter) iter.Seq2[Parked, error]
}

// ParkedFilter selects parked entries that agree with all it says. The zero value selects all.
type ParkedFilter struct {
	Consumer string      // Defaults to every consumer
	Key      string      // Defaults to every key
	IDs      []uuid.UUID // Defaults, if nil, to every entry
	Group    string      // the entry's Group. Defaults to every group
}

// Matches reports whether the filter selects the entry.
func (f ParkedFilter) Matches(p *Parked) bool {
	if f.Consumer != "" && f.Consumer != p.Consumer || f.Key != "" && f.Key != p.Key {
		return false
	}
	return (f.IDs == nil || slices.Contains(f.IDs, p.ID)) && (f.Group == "" || f.Group == p.Group())
}

// Deliverer is implemented by backends that keep windows of deliveries, for competing consumers.
type Deliverer interface {
	// Take hands out deliveries of a consumer, in order of position: those that are due and that nobody has, or
	// whose last holder was given them for a time that has passed. Each counts as one attempt more. Times are by
	// the store's clock.
	Take(ctx context.Context, consumer string, t Taking) ([]Delivery, error)

	// Window says how many deliveries of a consumer are not acknowledged, and when the next of them can be
	// taken: a time that is past if one can be now, the zero time if there is none.
	Window(ctx context.Context, consumer string) (outstanding int, next time.Time, err error)
}

// Taking says what is to be taken from a window.
type Taking struct {
	Limit      int           // at most so many deliveries,
	Ahead      int           // and so many more, but no more than Limit of all that were handed out before
	Visibility time.Duration // how long they are the caller's, from now
	Generation int64         // of the consumer: one of another hands out nothing. Defaults to any
}

// Snapshotter is implemented by backends that keep snapshots. A snapshot is a cache: losing one costs time.
type Snapshotter interface {
	// Save keeps a snapshot in place of an older one of the same fold and stream. A newer one stays.
	Save(ctx context.Context, s Snapshot) error

	// Snapshot returns a copy of what was saved, or the zero Snapshot.
	Snapshot(ctx context.Context, fold string, stream Stream) (Snapshot, error)
}

// Snapshot is what a fold made of the first events of a stream.
type Snapshot struct {
	Fold    string // which fold, in which version
	Stream  Stream
	Version Version         // of the last event that is folded
	Data    json.RawMessage // the state
}
