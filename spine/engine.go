package spine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/signal"
)

// engine is one Run or Drain.
type engine struct {
	*Spine
	id     string // the member
	feed   *feed
	cancel context.CancelCauseFunc // of the whole
	drain  *drain                  // nil for Run

	idle    signal.Signal // some lanes have read on without finding anything
	timers  signal.Signal // something was scheduled for sooner than soonest
	soonest atomic.Int64  // when the first schedule that the clock knows is due, in Unix nanoseconds
	window  signal.Signal // there may be more deliveries to take, or more room for them
	roster  signal.Signal // partitions are to be shared anew

	wg      sync.WaitGroup // lanes
	mu      sync.Mutex
	lanes   map[laneKey]*lane
	shapes  []*shape  // of the consumers; nil: others run a newer definition
	serving []service // what becomes of the consumers' deliveries here
	ending  bool      // start no more lanes

	// Of the members goroutine.
	renewed  time.Time           // the member's last sign of life
	redrives map[*consumer]int64 // as the last rosters have it
	orphans  map[*consumer]orphan
}

type laneKey struct {
	consumer  string
	partition int
}

// errDone ends a Drain that has nothing left to do.
var errDone = errors.New("drained")

// Run drives the organs until ctx ends, and returns nil then; or until something fails that no policy covers,
// and returns that. A log that is not available is waited for, also at the beginning. When Run ends, handlers
// under way may finish within Config.Grace, their outputs are committed, and the partitions are handed back.
// One Spine runs once at a time: else ErrRunning.
func (s *Spine) Run(ctx context.Context) error {
	if err := s.run(ctx, nil); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	return nil
}

// Drain drives the organs until nothing is left to do: every consumer has reached the end of the log and
// nothing is due. It returns when the next schedule is due, the zero time for never. It is for tests, batch
// programs and examples. After Config.MaxSteps events it fails with a *LoopError.
func (s *Spine) Drain(ctx context.Context) (next time.Time, err error) {
	d := &drain{types: map[string]int{}}
	if err := s.run(ctx, d); err != nil {
		return time.Time{}, fmt.Errorf("drain: %w", err)
	}
	return d.next, nil
}

func (s *Spine) run(ctx context.Context, d *drain) error {
	if !s.running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer s.running.Store(false)
	run, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work, endWork := context.WithCancel(context.WithoutCancel(ctx))
	defer endWork()
	e := &engine{
		Spine: s, id: uuid.NewString(), cancel: cancel, drain: d, lanes: map[laneKey]*lane{},
		shapes: make([]*shape, len(s.consumers)), serving: make([]service, len(s.consumers)), redrives: map[*consumer]int64{}, orphans: map[*consumer]orphan{},
	}
	if err := e.begin(ctx); err != nil {
		e.fail(err)
		return e.result(ctx, run)
	}
	if err := s.spill.open(); err != nil {
		e.fail(err)
		return e.result(ctx, run)
	}
	defer func() {
		if err := s.spill.close(); err != nil {
			e.storeFailed(ctx, err)
		}
	}()
	s.engine.Store(e)
	var helpers sync.WaitGroup
	member, endMember := context.WithCancel(work)
	defer endMember()
	calls, endCalls := lasting(member, lastWord)
	defer endCalls()
	var membership sync.WaitGroup
	if len(s.consumers) > 0 {
		changed := e.roster.Wait()
		well := e.balance(run, member, calls)
		membership.Go(func() { e.members(run, member, calls, changed, well) })
		helpers.Go(func() { e.moveIdle(run, work) })
		for _, c := range s.consumers {
			if c.CaughtUp != nil && d == nil {
				helpers.Go(func() { e.watch(run, c) })
			}
		}
	}
	if s.deliverer != nil {
		for _, c := range s.consumers {
			e.wg.Go(func() { e.compete(run, work, c) })
		}
	}
	if s.scheduler != nil && d == nil {
		helpers.Go(func() { e.clock(run) })
	}
	unwatch, err := s.telemetry.watch(s)
	if err != nil {
		e.storeFailed(run, fmt.Errorf("telemetry: %w", err))
	} else {
		defer func() { _ = unwatch() }() // it only fails if it was done before
	}
	e.tail(run)
	e.finish(run, endWork)
	endMember()
	membership.Wait() // or it would join again: what it has asked the server for may finish
	e.leave(work)
	endWork()
	helpers.Wait()
	return e.result(ctx, run)
}

// result tells a wanted end from a failure.
func (e *engine) result(ctx, run context.Context) error {
	switch cause := context.Cause(run); {
	case errors.Is(cause, errDone):
		return nil
	case ctx.Err() != nil && errors.Is(cause, context.Cause(ctx)) && e.drain == nil:
		return nil
	default:
		return cause
	}
}

// fail ends the engine.
func (e *engine) fail(err error) { e.cancel(err) }

// begin prepares, as often as it takes until the log is available.
func (e *engine) begin(ctx context.Context) error {
	for {
		switch err := e.prepare(ctx); {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !eventstore.IsRetryable(err) && !errors.Is(err, eventstore.ErrUnavailable):
			return err
		default:
			e.storeFailed(ctx, err)
			pause(ctx, storePause)
		}
	}
}

// prepare makes the consumers known to the log and finds its end.
func (e *engine) prepare(ctx context.Context) error {
	for _, c := range e.consumers {
		if err := e.introduce(ctx, c); err != nil {
			return fmt.Errorf("organ %q: %w", c.Name, err)
		}
	}
	e.feed = newFeed(e.store, e.consumers)
	head, err := e.store.Head(ctx)
	e.feed.tail = head
	return err
}

// introduce makes a consumer ready, and known to the log.
func (e *engine) introduce(ctx context.Context, c *consumer) error {
	if c.Begin != nil {
		if err := c.Begin(ctx); err != nil {
			return err
		}
	}
	return e.adopt(ctx, c)
}

// finish lets the lanes end.
func (e *engine) finish(run context.Context, endWork context.CancelFunc) {
	<-run.Done()
	grace := time.AfterFunc(e.cfg.Grace, endWork)
	defer grace.Stop()
	e.mu.Lock()
	e.ending = true
	e.mu.Unlock()
	e.wg.Wait()
}

// lasting returns a context that ends some time after another one.
func lasting(ctx context.Context, more time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		defer cancel()
		pause(longer, more)
	})
	return longer, cancel
}

// leave hands everything back. No lane is left.
func (e *engine) leave(work context.Context) {
	if len(e.consumers) == 0 {
		return
	}
	most := lastWord
	if work.Err() == nil {
		most = max(most, e.cfg.Grace)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(work), most)
	defer cancel()
	if err := e.leaser.Leave(ctx, e.id); err != nil {
		e.storeFailed(work, fmt.Errorf("leave: %w", err))
	}
}

// storeFailed reports a failure of the store that is met by trying again.
func (e *engine) storeFailed(ctx context.Context, err error) {
	if isFinal(err) {
		e.fail(err)
	}
	e.observe.tell(ctx, Observation{Step: StoreFailed, Partition: -1, Err: err})
}

// isFinal reports whether an error of the store will not go away by trying again.
func isFinal(err error) bool {
	return errors.Is(err, eventstore.ErrClosed) || errors.Is(err, eventstore.ErrWentBack)
}

// observed reports whether anybody wants to know of every event.
func (e *engine) observed(ctx context.Context) bool {
	return len(e.cfg.Observers) > 0 || e.cfg.Logger.Enabled(ctx, level(EventAcked)) || e.telemetry.on(ctx)
}

// tail reads the end of the log and hands it out.
func (e *engine) tail(ctx context.Context) {
	var seen eventstore.Pulse
	for ctx.Err() == nil {
		e.feed.awaitLane(ctx)
		quiet := e.feed.isQuiet()
		c, err := e.feed.fetch(ctx, e.feed.end())
		if err != nil {
			if ctx.Err() == nil {
				e.storeFailed(ctx, err)
				pause(ctx, storePause)
			}
			continue
		}
		if c.through > c.after {
			e.feed.advance(c)
			e.idle.Fire()
			if e.drain != nil {
				continue
			} // else it is sooner seen whether there is more than read
		}
		if e.drain != nil && quiet {
			if e.settleDrain(ctx) {
				e.cancel(errDone)
				return
			}
		}
		seen.Head = c.through
		now, err := e.awaitPulse(ctx, seen, quiet)
		if err != nil {
			e.storeFailed(ctx, err)
			pause(ctx, storePause)
		}
		if now.Roster != seen.Roster {
			e.roster.Fire()
		}
		if now.Window != seen.Window {
			e.window.Fire()
		}
		seen = now
	}
}

// awaitPulse waits for the log to change, or in a Drain for the lanes to have nothing to do.
func (e *engine) awaitPulse(ctx context.Context, seen eventstore.Pulse, quiet bool) (eventstore.Pulse, error) {
	if e.drain == nil {
		return e.store.Wait(ctx, seen)
	}
	ctx, cancel := context.WithTimeout(ctx, drainPoll)
	defer cancel()
	if !quiet && e.feed.onQuiet(cancel) {
		return seen, nil
	}
	return e.store.Wait(ctx, seen)
}

// moveIdle commits the checkpoints of lanes that find nothing, when no commit of a busy lane carries them.
func (e *engine) moveIdle(ctx, work context.Context) {
	for {
		idle := e.idle.Wait()
		if pause(ctx, idleDelay) {
			left, failed := e.flushIdle(work, carryDelay+idleDelay)
			if failed {
				pause(ctx, storePause)
			}
			if left || failed {
				continue
			}
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return
		}
	}
}

const (
	// idleDelay is how long idle lanes wait for a commit that carries their checkpoints.
	idleDelay = 10 * time.Millisecond

	// carryDelay is for how long a consumer's commits leave its idle lanes where they are, once one has carried their
	// checkpoints: if each did, that would be most of what is written.
	carryDelay = 20 * time.Millisecond
)

// flushIdle commits the checkpoints of all idle lanes, but for those that are left because others of their consumer were moved
// within a time.
func (e *engine) flushIdle(ctx context.Context, within time.Duration) (left, failed bool) {
	moves, left := e.feed.carry(nil, within)
	if len(moves) == 0 {
		return left, false
	}
	c := eventstore.Commit{Checkpoints: checkpoints(moves)}
	_, err := e.store.Commit(ctx, c)
	for errors.Is(err, eventstore.ErrOutcomeUnknown) && ctx.Err() == nil {
		e.storeFailed(ctx, err)
		pause(ctx, storePause)
		_, err = e.store.Commit(ctx, c)
	}
	e.feed.settle(moves, err == nil)
	if slices.ContainsFunc(moves, func(m move) bool { return m.lane.shape.until > 0 }) {
		e.roster.Fire()
	}
	if errors.Is(err, eventstore.ErrFenced) {
		e.loseFenced(ctx, moves, err)
	} else if err != nil && ctx.Err() == nil {
		e.storeFailed(ctx, err)
	}
	return left, err != nil
}
