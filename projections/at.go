package projections

import (
	"context"
	"fmt"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// At is a point in the log, up to which events are folded. It is made by AtVersion, AtPosition and AtTime. The zero At is
// now: the end of the log when it is read.
type At struct {
	unit unit
	n    int64 // the version or position
	time time.Time
}

// unit is what an At counts in.
type unit int

const (
	now unit = iota
	versions
	positions
	times
)

// AtVersion is right behind the event of a version in its stream. Version 0 is before the stream's first event. A version
// that the stream has not reached is refused with ErrInvalid, and so is any that is not asked of a stream.
func AtVersion(v eventstore.Version) At { return At{unit: versions, n: int64(v)} }

// AtPosition is right behind the event at a position of the log: every event up to and including it counts. Position 0 is
// before the first event. A position beyond the head is refused with ErrInvalid.
func AtPosition(p eventstore.Position) At { return At{unit: positions, n: int64(p)} }

// AtTime is behind the last event that was committed at or before t, by the log's clock (eventstore.Event.Time): every
// event up to that one counts. Event times never run backwards along the log, so these are all events that were committed
// by then, and no other. Of a time that has passed by that clock, the answer never changes; of a later one, it is what is
// there now. The zero time is refused with ErrInvalid.
func AtTime(t time.Time) At { return At{unit: times, time: t} }

// end is where a fold ends. The zero end is the end of the log.
type end struct {
	bounded  bool
	position eventstore.Position // no event behind it counts
	version  eventstore.Version  // instead of a position: of the last event in its stream; 0: there is a position
}

// before reports whether no event counts.
func (e end) before() bool { return e.bounded && e.position == 0 && e.version == 0 }

// reached fails if a read that has looked through a position of the log did not come as far as it was to.
func (e end) reached(through eventstore.Position) error {
	if e.position > through {
		return invalid("position", "%d is beyond the head, which is %d", e.position, through)
	}
	return nil
}

// check refuses what can be told to be wrong without a look at the log.
func (at At) check(ofStream bool) error {
	switch {
	case at.unit == versions && !ofStream:
		return invalid("version", "%d is asked of what is no stream", at.n)
	case at.unit == versions && at.n < 0:
		return invalid("version", "%d is negative", at.n)
	case at.unit == positions && at.n < 0:
		return invalid("position", "%d is negative", at.n)
	case at.unit == times && at.time.IsZero():
		return invalid("time", "is zero")
	}
	return nil
}

// end finds the point in the log.
func (at At) end(ctx context.Context, st *eventstore.Store) (e end, err error) {
	switch at.unit {
	case versions:
		return end{bounded: true, version: eventstore.Version(at.n)}, nil
	case positions:
		return end{bounded: true, position: eventstore.Position(at.n)}, nil
	case times:
		p, err := positionAt(ctx, st, at.time)
		return end{bounded: true, position: p}, err
	}
	return e, nil
}

// positionAt returns the position up to which events were committed at or before t. As times never run backwards, that
// takes as many small reads as the head has binary digits.
func positionAt(ctx context.Context, st *eventstore.Store, t time.Time) (eventstore.Position, error) {
	head, err := st.Head(ctx)
	if err != nil {
		return 0, err
	}
	low, high := eventstore.Position(0), head+1 // up to low no event is later; from high on, all are, or there is none
	for low+1 < high {
		middle := low + (high-low)/2
		e, err := firstIn(ctx, st, middle, high-1)
		switch {
		case err != nil:
			return 0, err
		case e.Position == 0 || e.Time.After(t):
			high = middle
		default:
			low = e.Position
		}
	}
	return low, nil
}

// firstIn returns the first event from one position through another, or the zero Event: an upcaster may drop events.
func firstIn(ctx context.Context, st *eventstore.Store, from, through eventstore.Position) (eventstore.Event, error) {
	r := eventstore.Range{After: from - 1, UpTo: through, Limit: 1, Through: new(eventstore.Position)}
	for r.After < through {
		for e, err := range st.Read(ctx, eventstore.All(), r) {
			return e, err
		}
		if *r.Through <= r.After {
			break // the log ends before it
		}
		r.After, r.Limit = *r.Through, min(16*r.Limit, 4096)
	}
	return eventstore.Event{}, nil
}

func invalid(field, format string, args ...any) error {
	return &eventstore.InvalidError{Field: field, Reason: fmt.Sprintf(format, args...)}
}
