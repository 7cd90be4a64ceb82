package projections

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// Change is what a row has become.
type Change[Row any] struct {
	Key string
	Row *Row // nil: there is none

	// Position is how far the row is current, or farther: it is of all events up to there, but for those that are parked.
	Position eventstore.Position
	// Resume is where to go on behind this change: a watch After it misses nothing that would have come next, but for
	// what is redriven before it begins.
	Resume eventstore.Position
}

// WatchOption changes what is watched. It is made by After and OfKeys.
type WatchOption struct {
	keys  []string
	after *eventstore.Position // nil: OfKeys
}

// After has a watch begin with the rows that the events behind a position have changed: 0 for all that ever were, or the
// Resume of a change for what came after it. A position beyond the head is refused with ErrInvalid.
func After(p eventstore.Position) WatchOption { return WatchOption{after: &p} }

// OfKeys watches the rows of some keys, one at least, instead of all.
func OfKeys(keys ...string) WatchOption { return WatchOption{keys: keys} }

// Bounds of what a watch holds at once, and how long it waits for what is away.
const (
	watchEvents = 512
	watchKeys   = 1024 // and those of one more event
	watchPause  = 100 * time.Millisecond
)

// Watch yields the rows that change from now on, in any process that has the log: now is what the view has done when the
// watch begins to be ranged over.
//
// It tells states, not events: a row that has changed several times may come once, as it is by then, and one that is as it
// was may come again. No change is missed, also if another version comes to serve, which is no change by itself. Which
// rows an event changes is said by the folds of this program's version. A row whose event is parked comes without it, and
// once more when that event has been redriven or discarded, which shows within eventstore.Config.Poll.
//
// It waits for a view that is behind or paused, and for a log that is away, as long as ctx allows. The last that it yields
// is its error, which may be that of ctx. Nothing runs between two changes.
func (r Rows[Row]) Watch(ctx context.Context, options ...WatchOption) iter.Seq2[Change[Row], error] {
	return func(yield func(Change[Row], error) bool) {
		w := &watch[Row]{rows: r}
		err := w.configure(options)
		act := w.begin
		for err == nil {
			err = act(ctx)
			switch {
			case err == nil:
				act = func(ctx context.Context) error { return w.step(ctx, yield) }
			case errors.Is(err, errEnough):
				return
			case ctx.Err() != nil:
				err = context.Cause(ctx)
			case isAway(err):
				sleep(ctx, watchPause)
				err = nil
			}
		}
		yield(Change[Row]{}, r.explain(err))
	}
}

// errEnough is why a watch ends whose user has left.
var errEnough = errors.New("enough")

// isAway reports whether it is worth trying again.
func isAway(err error) bool {
	return eventstore.IsRetryable(err) || errors.Is(err, eventstore.ErrUnavailable) || errors.Is(err, eventstore.ErrPaused)
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// watch is one call of Watch.
type watch[Row any] struct {
	rows  Rows[Row]
	work  keeping[Row]
	query eventstore.Query
	only  map[string]bool      // nil: all
	after *eventstore.Position // nil: from now on

	at    eventstore.Position // all up to there was told
	done  eventstore.Position // what the view is known to have done
	pulse eventstore.Pulse
	late  map[string]entries // what was parked, when the rows were last read
}

// entries stands for the parked entries of a key: it changes whenever one of them is redriven or discarded.
type entries struct {
	first eventstore.Position
	count int
}

// configure refuses what can be told to be wrong without a look at the log.
func (w *watch[Row]) configure(options []WatchOption) (err error) {
	if w.rows.fault != nil {
		return w.rows.fault
	}
	errs := []error{}
	w.query, err = w.rows.view.listens()
	errs = append(errs, err)
	w.work, _ = w.rows.view.keeping() // its fault is that of the rows
	for _, o := range options {
		switch {
		case o.after == nil && len(o.keys) == 0:
			errs = append(errs, invalid("keys", "are none"))
		case o.after == nil:
			if w.only == nil {
				w.only = map[string]bool{}
			}
			for _, key := range o.keys {
				errs = append(errs, eventstore.CheckName("key", key))
				w.only[key] = true
			}
		case w.after != nil:
			errs = append(errs, invalid("position", "is there twice: %d and %d", *w.after, *o.after))
		case *o.after < 0:
			errs = append(errs, invalid("position", "%d is negative", *o.after))
		default:
			w.after = o.after
		}
	}
	return errors.Join(errs...)
}

// begin finds out where the watch begins.
func (w *watch[Row]) begin(ctx context.Context) error {
	if w.after != nil {
		head, err := w.rows.store.Head(ctx)
		if err != nil {
			return err
		}
		if *w.after > head {
			return invalid("position", "%d is beyond the head, which is %d", *w.after, head)
		}
	}
	now, err := w.load(ctx, 0, nil)
	if err != nil {
		return err
	}
	if w.at, w.late = now.stands, now.parked; w.after != nil {
		w.at = *w.after
	}
	return nil
}
