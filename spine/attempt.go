package spine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// Bounds of what one commit of a lane takes together.
const (
	batchInputs  = 256
	batchEntries = 1000                   // events, schedules and the like
	batchBytes   = 4 << 20                // of payloads
	batchUnless  = 50                     // conditions
	batchTime    = 100 * time.Millisecond // handlers' time; slow handlers commit each event
	lastWord     = time.Second            // how long a handler may take to notice that its time is up
)

// work is what handling a batch came to.
type work struct {
	done   int // events settled: handled, parked or skipped
	output joined
	parks  []eventstore.Parked
	aside  []aside // the events that were parked or skipped for a failure
	full   bool    // a Gatherer asks for a commit
	ahead  bool    // time was up while something was prefetched: no handler is to blame
	err    error   // of the event behind those done; nil if there was only no time or no room for it
}

// aside is an event that its policy has settled without success.
type aside struct {
	event *eventstore.Event
	err   error
}

// failures counts the failed attempts.
func (w *work) failures() int {
	n := len(w.aside)
	if w.err != nil {
		n++
	}
	return n
}

// set sets an event aside.
func (w *work) set(l *lane, in *Input, fails []eventstore.Failure, err error) {
	w.aside = append(w.aside, aside{in.Event, err})
	if l.consumer.Policy.OnError == ErrorLog {
		return
	}
	for _, k := range keysOf(in) {
		p := l.entry(in, k, fails)
		p.Due = l.due(p.Attempts, err)
		w.parks = append(w.parks, p)
	}
}

// worker is a goroutine that runs handlers, one batch after the other.
type worker struct {
	jobs    chan job
	results chan work // has room for one, so that a worker which was given up ends
}

type job struct {
	ctx    context.Context //nolint:containedctx // a message to the worker, gone when it is done
	lane   *lane
	batch  []Input
	number int

	gatherer Gatherer // who takes the batch up; nil: it is handled

	// lent is what the batch has come to so far, while a handler runs. Who takes it has given the handler up.
	lent *atomic.Pointer[work]
}

func newWorker() *worker {
	w := &worker{jobs: make(chan job), results: make(chan work, 1)}
	go func() {
		for j := range w.jobs {
			w.results <- j.lane.handle(j)
		}
	}()
	return w
}

// prefetched is how many events Prefetch is called for at once.
const prefetched = 32

type batchKey struct{}

// firstKey is there if events are handled that nothing has gone wrong with.
type firstKey struct{}

// Batch identifies the events whose outputs are to go into one commit: it returns the same value to the
// handlers of all of them, and different values to all others. It is nil outside of a handler.
func Batch(ctx context.Context) any { return ctx.Value(batchKey{}) }

// attempt runs handlers for a batch. number counts the attempts at the first input, from 1. One that has failed because the
// log could not be read does not count: the event is not to blame, and nothing could be committed either.
func (l *lane) attempt(ctx context.Context, batch []Input, number int) work {
	for {
		w := l.once(ctx, batch, number)
		if w.ahead && ctx.Err() == nil {
			if w.err, l.first = nil, false; w.done > 0 {
				return w
			}
			continue
		}
		if errors.Is(w.err, eventstore.ErrWentBack) {
			l.engine.fail(fmt.Errorf("organ %s: %w", l.consumer.Name, w.err))
		}
		if w.done > 0 || !errors.Is(w.err, eventstore.ErrUnavailable) || !pause(ctx, storePause) {
			return w
		}
	}
}

// once runs handlers for a batch, in a goroutine that can be given up: what came before the handler that hangs is taken
// from it, and whatever it may still say is dropped.
func (l *lane) once(ctx context.Context, batch []Input, number int) work {
	deadline := l.consumer.Policy.Deadline
	if len(batch) > 1 {
		deadline += l.batchTime() // which the others may take before the last one begins
	}
	ctx, cancel := context.WithTimeoutCause(ctx, deadline, ErrDeadline)
	defer cancel()
	ctx = eventstore.WithHistory(ctx, eventstore.Position(l.consumer.history.Load()))
	ctx = context.WithValue(ctx, batchKey{}, new(byte))
	if l.first {
		ctx = context.WithValue(ctx, firstKey{}, true)
	}
	if l.worker == nil {
		l.worker = newWorker()
	}
	w := l.worker
	lent := new(atomic.Pointer[work])
	j := job{ctx: ctx, lane: l, batch: batch, number: number, lent: lent}
	if l.gathering.adding {
		j.gatherer = l.gathering.by
	}
	w.jobs <- j
	select {
	case done := <-w.results:
		return done
	case <-ctx.Done():
	}
	for {
		late := time.NewTimer(lastWord)
		select {
		case done := <-w.results:
			late.Stop()
			return done
		case <-late.C:
		}
		if before := lent.Swap(nil); before != nil { // else no handler runs: it is about to say so
			l.worker = nil
			close(w.jobs)
			l.engine.abandon(ctx, l, batch[before.done].Event, w.results)
			before.err = fmt.Errorf("%w, and ignores it", context.Cause(ctx))
			return *before
		}
	}
}

// batchTime is how long handlers may work for one commit: slow ones commit each event.
func (l *lane) batchTime() time.Duration { return min(batchTime, l.consumer.Policy.Deadline/4) }

// abandon counts a handler until it returns.
func (e *engine) abandon(ctx context.Context, l *lane, in *eventstore.Event, results <-chan work) {
	l.observe(ctx, Observation{Step: Abandoned, Event: in})
	if e.abandoned.Add(1) >= int64(e.cfg.Abandoned) {
		e.fail(fmt.Errorf("organ %s: %w: %d", l.consumer.Name, ErrAbandoned, e.abandoned.Load()))
	}
	go func() {
		<-results
		e.abandoned.Add(-1)
	}()
}

// handle calls the handler for one event after the other. Parts of one stored event stay together.
func (l *lane) handle(j job) work {
	if j.gatherer != nil {
		return l.handleGathered(j)
	}
	if l.consumer.HandleBatch != nil {
		return l.handleBatch(j)
	}
	ctx, batch, number, w := j.ctx, j.batch, j.number, new(work)
	var outputs []Output
	start := time.Now()
	clock := start // read once an event
	ahead := 0     // of which the needs are read
	for w.done < len(batch) {
		if l.consumer.Prefetch != nil && l.first && w.done >= ahead {
			next := batch[w.done:min(len(batch), w.done+prefetched)]
			ahead = w.done + len(next)
			if taken, late := l.prefetch(j, next, w); taken {
				return work{}
			} else if late {
				return *w
			}
			clock = time.Now()
		}
		group, parked := batch[w.done:w.done+whole(batch[w.done:])], work{}
		outputs = outputs[:0]
		for i := range group {
			j.lent.Store(w)
			out, err := l.call(ctx, &group[i], number, &clock)
			outputs = append(outputs, out)
			if !j.lent.CompareAndSwap(w, nil) {
				settleAll(outputs, ErrDeadline)
				return work{}
			}
			if w.done > 0 && errors.Is(err, ErrCommitFirst) {
				settleAll(outputs, err)
				return *w
			}
			if IsPark(err) {
				parked.set(l, &group[i], []eventstore.Failure{failure(err)}, err)
			} else if err != nil {
				w.err = err
				settleAll(outputs, err)
				return *w
			}
		}
		if !w.output.join(outputs, w.done > 0) {
			settleAll(outputs, errNotJoined)
			return *w
		}
		w.done, number = w.done+len(group), 1
		w.parks, w.aside = append(w.parks, parked.parks...), append(w.aside, parked.aside...)
		if len(parked.aside) > 0 || w.output.full || clock.Sub(start) > l.batchTime() {
			return *w // where events were parked, the keys that wait must be looked at again
		}
	}
	return *w
}

// prefetch has what a part of a batch needs be read. It says whether the worker was given up, so that w is somebody else's,
// and whether its time is up.
func (l *lane) prefetch(j job, in []Input, w *work) (taken, late bool) {
	if len(in) < 2 {
		return false, false
	}
	w.ahead = true
	j.lent.Store(w)
	_, _ = protect(func() (Output, error) { // the panic is that of a handler, too
		l.consumer.Prefetch(j.ctx, in)
		return Output{}, nil
	})
	if !j.lent.CompareAndSwap(w, nil) {
		return true, false
	}
	w.ahead = j.ctx.Err() != nil
	return false, w.ahead
}

func settleAll(outputs []Output, err error) {
	for i := range outputs {
		outputs[i].settle(eventstore.Result{}, err)
	}
}

// call calls the handler for one event, which begins at what clock shows and moves it on. A panic is a failure.
func (l *lane) call(ctx context.Context, in *Input, number int, clock *time.Time) (out Output, err error) {
	observed := l.engine.observed(ctx)
	ctx = eventstore.WithCause(ctx, in.Event)
	if observed {
		ctx = l.engine.observe.tell(ctx, l.observation(EventDispatched, in, number))
	}
	if err = l.unfit(in); err == nil {
		out, err = protect(func() (Output, error) { return l.consumer.Handle(ctx, *in) })
	}
	if err == nil {
		err = out.check()
	}
	if err == nil {
		err = l.engine.checkPosted(&out.Commit, in.Stream)
	}
	if ctx.Err() != nil { // too late, whatever it did
		err = tooLate(context.Cause(ctx), err)
	}
	if len(out.Commit.Appends)+len(out.Commit.Schedules) > 0 {
		child := in.Child()
		traceOf(ctx, &child)
		inherit(&out.Commit, &child)
	}
	began := *clock
	*clock = time.Now()
	if observed || err != nil {
		o := l.observation(EventCompleted, in, number)
		if o.Duration, o.Err = clock.Sub(began), err; err != nil {
			o.Step = HandlerFailed
		}
		for i := range out.Commit.Appends {
			o.Emitted += len(out.Commit.Appends[i].Events)
		}
		l.engine.observe.tell(ctx, o)
	}
	return out, err
}

// unfit is why an event cannot be given to a handler.
func (l *lane) unfit(in *Input) error {
	if in.fault == nil && in.Metadata.Depth > l.engine.cfg.MaxDepth {
		return Park(fmt.Errorf("%w: %d causes lie before it", ErrDepth, in.Metadata.Depth))
	}
	return in.fault
}

// observation of a step of one attempt.
func (l *lane) observation(step Step, in *Input, number int) Observation {
	return Observation{Step: step, Organ: l.consumer.Name, Partition: l.partition, Event: in.Event, Attempt: number}
}

// tooLate is why a handler has failed whose time was up when it returned.
func tooLate(cause, err error) error {
	if err == nil || errors.Is(err, cause) {
		return cause
	}
	return fmt.Errorf("%w: %w", cause, err)
}

// protect turns a panic into an error.
func protect(f func() (Output, error)) (out Output, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = Output{}, &PanicError{Value: p, Stack: stack()}
		}
	}()
	return f()
}

func stack() []byte {
	const most = 16 << 10
	s := debug.Stack()
	return s[:min(len(s), most)]
}
