package projections

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/lossless"
)

// Live folds events when it is asked, as they are now or as they were at some point: for questions that are too rare to
// keep rows for. It is a value: nothing runs, and nothing is kept but snapshots, if there are to be any. It is safe for
// concurrent use.
type Live[S any] struct {
	Fold     eventstore.Fold[S] // pure. Types of events that it does not know are passed over
	Name     string             // of its snapshots: as eventstore.CheckName says. Required if there are any
	Snapshot Snapshot           // Defaults to none
}

// State is what a fold came to.
type State[S any] struct {
	Value    S
	Version  eventstore.Version  // of the stream's last event in it; 0: there is none, or it is of a query
	Position eventstore.Position // it is of all events up to there that were asked for, and of no later one
}

// Validate reports all faults at once.
func (l Live[S]) Validate() error {
	errs := []error{l.Fold.Validate()}
	if len(l.Fold) == 0 {
		errs = append(errs, errors.New("nothing is folded: Fold is empty"))
	}
	if l.Snapshot.Every < 0 || l.Snapshot.Version < 0 {
		errs = append(errs, fmt.Errorf("snapshot: Every is %d and Version is %d: they must not be negative", l.Snapshot.Every, l.Snapshot.Version))
	}
	if l.Snapshot.Every > 0 {
		errs = append(errs, eventstore.CheckName("name", l.Name), lossless.Faults[S]())
	}
	return errors.Join(errs...)
}

// Stream folds a stream, up to one point or up to now. A stream that is not there is the zero Value, at version 0.
func (l Live[S]) Stream(ctx context.Context, st *eventstore.Store, stream eventstore.Stream, at ...At) (State[S], error) {
	s, err := l.answer(ctx, &question[S]{
		live: l, store: st, query: eventstore.InStream(stream), stream: stream,
		snapshots: snapshots{fold: l.snapshotsOf("stream"), stream: stream},
	}, eventstore.CheckName("stream", string(stream)), at)
	if err != nil {
		return s, fmt.Errorf("live fold of %s: %w", stream, err)
	}
	return s, nil
}

// Query folds the events that a query selects, in the order of the log, up to one point or up to now. AtVersion is not for
// queries. What Fold does not know is not even read.
func (l Live[S]) Query(ctx context.Context, st *eventstore.Store, q eventstore.Query, at ...At) (State[S], error) {
	s, err := l.answer(ctx, &question[S]{
		live: l, store: st, query: q.Only(l.Fold.Types()...),
		snapshots: snapshots{fold: l.snapshotsOf("query"), stream: digest(q)},
	}, q.Validate(), at)
	if err != nil {
		return s, fmt.Errorf("live fold of a query: %w", err)
	}
	return s, nil
}

// answer checks what is asked for, of which one fault may be known already, and folds it.
func (l Live[S]) answer(ctx context.Context, q *question[S], fault error, at []At) (s State[S], err error) {
	if err := errors.Join(l.Validate(), fault); err != nil {
		return s, err
	}
	var point At
	switch len(at) {
	case 0:
	case 1:
		point = at[0]
	default:
		return s, invalid("at", "names %d points", len(at))
	}
	if err := point.check(q.stream != ""); err != nil {
		return s, err
	}
	if l.Snapshot.Every > 0 {
		keeper, ok := q.store.Backend().(eventstore.Snapshotter)
		if !ok {
			return s, fmt.Errorf("snapshot: backend %T keeps no snapshots", q.store.Backend())
		}
		q.snapshots.keeper = keeper
	}
	if q.end, err = point.end(ctx, q.store); err != nil {
		return s, err
	}
	return q.run(ctx)
}

// question is one call, on its way to a State.
type question[S any] struct {
	live      Live[S]
	store     *eventstore.Store
	query     eventstore.Query
	stream    eventstore.Stream // "" if it is about a query
	end       end
	snapshots snapshots

	value S
	last  mark // of value
	count int  // stored events that were folded, not counting those of a snapshot
}

// mark is the last event that is folded.
type mark struct {
	id       uuid.UUID
	version  eventstore.Version
	position eventstore.Position // 0: no event is
}

func (q *question[S]) run(ctx context.Context) (s State[S], err error) {
	if q.end.before() {
		_, err := q.store.Head(ctx) // a store that is closed says so
		return s, err
	}
	q.restore(ctx)
	through, proven, err := q.read(ctx)
	if err == nil && !proven { // the snapshot is not of this log, which was set back
		q.value, q.last, q.count = s.Value, mark{}, 0
		through, _, err = q.read(ctx)
	}
	if err == nil {
		err = errors.Join(q.end.reached(through), q.complete(ctx, through))
	}
	if err != nil {
		return s, err
	}
	s.Value, s.Position = q.value, through
	if q.stream != "" {
		s.Version = max(q.last.version, q.end.version)
	}
	q.save(ctx)
	return s, nil
}

// read folds what comes behind the last event that is folded already, if it finds that event where it was.
func (q *question[S]) read(ctx context.Context) (through eventstore.Position, proven bool, err error) {
	from := q.last
	proven = from.position == 0
	r := eventstore.Range{After: max(0, from.position-1), UpTo: q.end.position, Through: &through}
	if q.end.version > 0 { // of a stream, each event is one version
		r.Limit = int(min(q.end.version-max(0, from.version-1), math.MaxInt))
	}
	for ev, err := range q.store.Read(ctx, q.query, r) {
		if err != nil {
			return 0, proven, err
		}
		if !proven {
			if ev.ID != from.id || ev.Position != from.position || q.stream != "" && ev.Version != from.version {
				break
			}
			proven = true
		}
		if ev.Position == from.position { // in the state already, with all its parts
			continue
		}
		if err := q.live.Fold.Apply(&q.value, ev); err != nil && !errors.Is(err, eventstore.ErrUnknownType) {
			return 0, proven, err
		}
		if ev.Position != q.last.position {
			q.last = mark{ev.ID, ev.Version, ev.Position}
			q.count++
		}
	}
	return through, proven, nil
}

// complete fails if the stream did not reach the version, as far as the log was read. What upcasters drop counts, too.
func (q *question[S]) complete(ctx context.Context, through eventstore.Position) error {
	if q.last.version >= q.end.version {
		return nil
	}
	var stands eventstore.Version
	if through > 0 {
		r := eventstore.Range{UpTo: through, Limit: 1, Backward: true}
		for ev, err := range q.store.Backend().Read(ctx, q.query, r) {
			if err != nil {
				return err
			}
			stands = ev.Version
		}
	}
	if stands < q.end.version {
		return invalid("version", "%d is beyond the end of %s, which stands at version %d", q.end.version, q.stream, stands)
	}
	return nil
}
