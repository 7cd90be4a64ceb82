package spine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// Gatherer takes up the events of one lane, as long as that is worked by the same process, and folds many of them for one
// commit. It is not called concurrently. If anything fails, the lane begins where its checkpoint is, with HandleBatch, and
// once it has come that far again with another Gatherer; so what a Gatherer remembers of rows stays true: nobody else
// changes them.
type Gatherer interface {
	// Add takes events up, no more than MaxBatch but for the parts of one stored event. It may say that it is time for a
	// commit. An error that is eventstore.ErrUnavailable says that none of them was taken up, and has it called again with
	// the same events. Its time is up as that of HandleBatch: who ignores that is never called again.
	Add(ctx context.Context, batch []Input) (full bool, err error)

	// Output is what all events came to that were added since it was last written, under the rules for that of HandleBatch.
	// It does no I/O. Settled, if that is set, is called before the next Add.
	Output() (Output, error)
}

// Bounds of what is gathered for one commit, besides what the Gatherer says. It takes no longer than a part of how late the
// events are anyway.
const (
	gatherEvents = 100_000
	gatherLeast  = 2 * time.Millisecond
	gatherMost   = 10 * time.Second
	gatherPart   = 4
)

// gathering is what a lane's Gatherer has taken up.
type gathering struct {
	by      Gatherer // nil: to be made
	now     bool     // it takes events up, until the lane looks about it again
	adding  bool     // it is its turn, and not HandleBatch's
	events  int      // that are not committed
	through eventstore.Position
	since   time.Time
	failed  eventstore.Position // it failed ahead of there
	wary    int                 // so many events are committed in small steps: among them may be one that ends the process
}

// gathers reports whether events may be gathered now: nothing has to be looked at one by one.
func (l *lane) gathers() bool {
	return l.consumer.Gather != nil && l.careful+l.singly+len(l.quarantine.keys)+len(l.trials)+len(l.spilled) == 0 &&
		!l.engine.spill.any() && l.engine.feed.checkpointOf(l) >= l.gathering.failed
}

// plainly decides whether the lane's next events are gathered, and commits what is gathered if they are not. It reports
// false when the lane is over.
func (l *lane) plainly(work context.Context) bool {
	g := &l.gathering
	if g.now = l.gathers(); g.now {
		return true
	}
	if g.events > 0 && !l.commitGathered(work, nil) {
		return false
	}
	g.by = nil // what it remembers may change now
	return true
}

// gather takes up the events that are all there is for the lane through a position, and commits what was gathered if
// nothing more is to be had at once, or it is enough. It takes up no more once ctx has ended. It reports false when the
// lane is over.
func (l *lane) gather(ctx, work context.Context, in []Input, through eventstore.Position) bool {
	g := &l.gathering
	if len(in) == 0 {
		if g.events == 0 {
			return true
		}
		g.through = through
		return l.commitGathered(work, nil)
	}
	observed := l.engine.observed(work)
	if observed {
		for i := range in {
			l.observe(work, Observation{Step: EventReceived, Event: in[i].Event})
		}
	}
	for len(in) > 0 && ctx.Err() == nil {
		some, to := l.portion(in), through
		if in = in[len(some):]; len(in) > 0 {
			to = some[len(some)-1].Position
		}
		full, err := l.add(work, some, to)
		if err != nil {
			l.rewind(to)
			return work.Err() == nil
		}
		var told []Input
		if observed {
			told = some
		}
		if full || observed || l.enough(some, len(in) > 0) {
			if !l.commitGathered(work, told) {
				return false
			}
			if g.by == nil { // it comes again, and all that follows
				return true
			}
		}
		g.wary = max(g.wary-len(some), 0)
	}
	return true
}

// portion is the events at the front that a Gatherer gets at once.
func (l *lane) portion(in []Input) []Input {
	most, n := l.consumer.most(), 0
	if l.gathering.wary > 0 {
		most = min(most, batchInputs)
	}
	for n < len(in) && n < most {
		n += whole(in[n:])
	}
	return in[:n]
}

// add has the Gatherer take events up.
func (l *lane) add(work context.Context, in []Input, to eventstore.Position) (full bool, err error) {
	g := &l.gathering
	if g.by == nil {
		g.by = l.consumer.Gather()
	}
	g.adding = true
	w := l.attempt(work, in, 1)
	if g.adding = false; w.err != nil {
		return false, w.err
	}
	if g.events == 0 {
		g.since = time.Now()
	}
	g.events, g.through = g.events+len(in), to
	l.engine.count(in)
	return w.full, nil
}

// enough reports whether what is gathered is to be committed, after the events in. more says that there are others at hand.
func (l *lane) enough(in []Input, more bool) bool {
	g := &l.gathering
	if g.wary > 0 || g.events >= gatherEvents || !more && !l.engine.feed.hasMore(l) {
		return true
	}
	late := time.Since(in[len(in)-1].Time)
	return time.Since(g.since) >= min(max(late/gatherPart, gatherLeast), gatherMost)
}

// commitGathered writes what is gathered, and tells of the events in, if there are any. It reports false when the lane is
// over. If there is no Gatherer after it, the lane begins again where its checkpoint is.
func (l *lane) commitGathered(ctx context.Context, in []Input) bool {
	g := &l.gathering
	out, err := protect(g.by.Output)
	if err == nil {
		err = out.checkMany("Gatherer")
	}
	if err != nil {
		out.settle(eventstore.Result{}, err)
		l.rewind(g.through)
		return true
	}
	err = l.sendJointly(ctx, &out, g.through)
	out.settle(eventstore.Result{}, err)
	switch {
	case err == nil:
		l.consumer.processed.Add(int64(g.events))
		g.events = 0
		if len(in) > 0 {
			l.tell(ctx, new(work), &out.Commit, in, g.through)
		}
		return true
	case errors.Is(err, eventstore.ErrConflict), errors.Is(err, errSpill), isRefusal(err), isGone(err):
		l.rewind(g.through)
		return true
	default:
		l.gathering = gathering{} // it is not to be written once more on the way out
		return false
	}
}

// rewind forgets what is gathered, and has the lane handle it again from its checkpoint on, without a Gatherer.
func (l *lane) rewind(through eventstore.Position) {
	l.engine.uncount(l.gathering.events)
	l.gathering = gathering{failed: through, wary: l.gathering.wary}
	l.engine.feed.rewind(l)
}

// rewind has a lane read again what follows its checkpoint.
func (f *feed) rewind(l *lane) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for l.moving {
		f.moved.Wait()
	}
	l.readTo = l.checkpoint
}

// hasMore reports whether there is something for the lane to read at once.
func (f *feed) hasMore(l *lane) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !l.ended() && (l.readTo < f.tail || f.kept(l.readTo) != nil)
}

// handleGathered has a Gatherer take events up, all of them or none.
func (l *lane) handleGathered(j job) work {
	for i := range j.batch {
		if err := l.unfit(&j.batch[i]); err != nil {
			return work{err: err}
		}
	}
	w := new(work)
	j.lent.Store(w)
	began, observed := time.Now(), l.engine.observed(j.ctx)
	if observed {
		for i := range j.batch {
			l.engine.observe.tell(j.ctx, l.observation(EventDispatched, &j.batch[i], j.number))
		}
	}
	full := false // and not yet w's, which whoever gives the Gatherer up reads
	_, err := protect(func() (out Output, err error) {
		full, err = j.gatherer.Add(j.ctx, j.batch)
		return out, err
	})
	if !j.lent.CompareAndSwap(w, nil) {
		return work{}
	}
	if j.ctx.Err() != nil {
		err = tooLate(context.Cause(j.ctx), err)
	}
	if err != nil {
		return work{err: fmt.Errorf("gather: %w", err)}
	}
	if observed {
		for i := range j.batch {
			o := l.observation(EventCompleted, &j.batch[i], j.number)
			o.Duration = time.Since(began)
			l.engine.observe.tell(j.ctx, o)
		}
	}
	w.done, w.full = len(j.batch), full
	return *w
}
