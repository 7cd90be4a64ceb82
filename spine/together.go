package spine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// handleBatch calls the handler of many events for those at the front that can be handled.
func (l *lane) handleBatch(j job) work {
	w, sound := new(work), 0
	var err error
	for sound < len(j.batch) {
		if err = l.unfit(&j.batch[sound]); err != nil {
			sound = first(j.batch, sound)
			break
		}
		sound++
	}
	if sound > 0 {
		j.lent.Store(w)
		out, done, fault := l.callBatch(j.ctx, j.batch[:sound], j.number)
		if !j.lent.CompareAndSwap(w, nil) {
			out.settle(eventstore.Result{}, ErrDeadline)
			return work{}
		}
		if fault != nil || done < sound {
			err = fault // of what comes behind, nothing is known
		}
		if w.done = done; done > 0 {
			w.output.join([]Output{out}, false)
		} else {
			out.settle(eventstore.Result{}, err)
		}
	}
	if w.done > 0 || !IsPark(err) {
		w.err = err
		return *w
	}
	w.done = whole(j.batch)
	for i := range j.batch[:w.done] {
		w.set(l, &j.batch[i], []eventstore.Failure{failure(err)}, err)
	}
	return *w
}

// first is where the parts of the event begin that input n is one of.
func first(batch []Input, n int) int {
	for n > 0 && batch[n-1].Position == batch[n].Position {
		n--
	}
	return n
}

// callBatch calls the handler. A panic is a failure of the first event.
func (l *lane) callBatch(ctx context.Context, batch []Input, number int) (out Output, done int, err error) {
	observed, began := l.engine.observed(ctx), time.Now()
	if observed {
		for i := range batch {
			l.engine.observe.tell(ctx, l.observation(EventDispatched, &batch[i], number))
		}
	}
	out, err = protect(func() (out Output, err error) {
		out, done, err = l.consumer.HandleBatch(ctx, batch)
		return out, err
	})
	fault := l.checkBatch(&out, batch, done, err)
	if ctx.Err() != nil { // too late, whatever it did
		fault = tooLate(context.Cause(ctx), err)
	}
	if fault != nil {
		done, err = 0, fault
	}
	if observed || err != nil {
		for i := range batch[:min(len(batch), done+1)] {
			o := l.observation(EventCompleted, &batch[i], number)
			if o.Duration = time.Since(began); i == done {
				if err == nil {
					break
				}
				o.Step, o.Err = HandlerFailed, err
			}
			l.engine.observe.tell(ctx, o)
		}
	}
	return out, done, err
}

// checkBatch is what is wrong with an answer, but for its error.
func (l *lane) checkBatch(out *Output, batch []Input, done int, err error) error {
	switch {
	case done < 0 || done > len(batch):
		return fmt.Errorf("HandleBatch: %d of %d events are done", done, len(batch))
	case done == 0 && err == nil:
		return errors.New("HandleBatch: nothing is done, and there is no error")
	case done > 0 && done < len(batch) && first(batch, done) != done:
		return fmt.Errorf("HandleBatch: of the event at position %d, not all parts are done", batch[done].Position)
	}
	return out.checkMany("HandleBatch")
}

// checkMany refuses what an output of many events cannot have.
func (o *Output) checkMany(whose string) error {
	if len(o.Commit.Appends)+len(o.Commit.Schedules) > 0 {
		return fmt.Errorf("%w: %s puts events into the log, of which nobody knows what they follow from", eventstore.ErrInvalid, whose)
	}
	return o.check()
}
