package sagatest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

// outcome is what came of a run.
type outcome struct {
	result    any
	points    int
	crashes   int // that came to it
	doubled   int
	held      string // which consumer was held back
	consumers int
	parked    int
	faults    []string
	began     time.Time
	log       []eventstore.Event
	failures  []string // of what is parked
}

// run is one run of a scenario.
type run struct {
	*explorer

	disk   *disk
	organs []spine.Organ
	played bool
	tried  bool // Play was begun before
	began  time.Time
	faults []string
}

// play plays the scenario once, in a bubble of its own.
func (e *explorer) play(p plan) (o outcome) {
	synctest.Test(e.t, func(t *testing.T) {
		r := &run{explorer: e, disk: &disk{Backend: memory.New(), plan: p}, organs: e.Organs, began: time.Now()}
		if e.Fresh != nil {
			r.organs = e.Fresh()
		}
		r.lives(t.Context())
		o = r.outcome(t.Context())
	})
	return o
}

// story tells all that has happened in a run.
func (o *outcome) story() string {
	var text strings.Builder
	for _, ev := range o.log {
		fmt.Fprintf(&text, "\n  %3d +%s %s %s %s", ev.Position, ev.Time.Sub(o.began), ev.Stream, ev.Type, ev.Data)
	}
	for _, f := range o.failures {
		text.WriteString("\n  " + f)
	}
	return text.String()
}

// How many lives a run may need, and how often it may have to wait for what is due.
const (
	mostLives  = 10
	mostRounds = 10_000
)

// lives has one process follow the other, until one comes to rest.
func (r *run) lives(ctx context.Context) {
	for range mostLives {
		crashed, err := r.live(ctx)
		if err != nil {
			r.fault("%v", err)
		}
		if !crashed || err != nil {
			return
		}
		r.faults = append(r.faults, r.audit(ctx, false)...)
		if r.disk.plan.again {
			if err := r.deliverAgain(ctx); err != nil {
				r.fault("deliver again: %v", err)
			}
		}
	}
	r.fault("it does not come to rest in the lives of %d processes", mostLives)
}

func (r *run) fault(format string, args ...any) {
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

// deliverAgain has the sagas take up again all that was ever delivered to them.
func (r *run) deliverAgain(ctx context.Context) error {
	all, err := r.disk.Consumers(ctx)
	for _, c := range all {
		if err == nil && strings.HasPrefix(c.Name, sagaPrefix) && !c.Competing {
			err = r.disk.Reset(ctx, c.Name, 0)
		}
	}
	return err
}

// live is the life of one process. It ends with a crash, or at rest.
func (r *run) live(ctx context.Context) (crashed bool, err error) {
	ctx, kill := context.WithCancel(ctx)
	defer kill()
	p := &process{Backend: r.disk.Backend, disk: r.disk, kill: kill}
	st := eventstore.New(p, r.Store)
	defer st.Close() //nolint:errcheck // memory has nothing to lose
	sp, err := spine.New(st, r.config(), r.organs...)
	if err == nil {
		err = r.begin(ctx, sp)
	}
	for n := 0; err == nil; n++ {
		var next time.Time
		if next, err = sp.Drain(ctx); err != nil {
			break
		}
		next = r.release(ctx, next)
		if next.IsZero() || next.Sub(r.began) > r.For {
			return p.isDead(), nil
		}
		if n == mostRounds {
			err = fmt.Errorf("after %s and %d rounds there still is something due", time.Since(r.began), n)
		} else {
			pause(ctx, max(time.Until(next), time.Millisecond))
		}
	}
	if p.isDead() {
		return true, nil
	}
	return false, err
}

func (p *process) isDead() bool {
	p.disk.mu.Lock()
	defer p.disk.mu.Unlock()
	return p.dead
}

// config is the Spine's: a process that has died is missed soon, and handlers of it are not waited for.
func (r *run) config() spine.Config {
	cfg := r.Config
	cfg.Lease, cfg.Grace, cfg.Logger = 100*time.Millisecond, time.Millisecond, slog.New(slog.DiscardHandler)
	if cfg.Policy.Partitions == 0 {
		cfg.Policy.Partitions = 1
	}
	return cfg
}

// begin has the scenario begin, unless it has.
func (r *run) begin(ctx context.Context, sp *spine.Spine) error {
	if r.played {
		return nil
	}
	again := r.tried
	r.tried = true
	if !again { // then the consumers are known, and can be held back from the first commit on
		if _, err := sp.Drain(ctx); err != nil {
			return err
		}
	}
	err := r.Play(ctx, sp)
	if _, refused := errors.AsType[*spine.RejectedError](err); refused && again {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("play: %w", err)
	}
	r.played = ctx.Err() == nil
	return context.Cause(ctx)
}

// release lets a consumer go on that was held back, once it is time for that. It returns when there is something to do.
func (r *run) release(ctx context.Context, next time.Time) time.Time {
	r.disk.mu.Lock()
	defer r.disk.mu.Unlock()
	h := &r.disk.plan.hold
	if r.disk.held == "" || h.at == 0 {
		return next
	}
	if h.timers > 0 && !next.IsZero() {
		h.timers--
		return next
	}
	h.at = 0
	if err := r.disk.Pause(ctx, r.disk.held, false); err != nil {
		r.fault("let %s go on: %v", r.disk.held, err)
	}
	return time.Now()
}

// pause waits, on the clock of the bubble.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// outcome is what has come of the run, at rest.
func (r *run) outcome(ctx context.Context) outcome {
	st := eventstore.New(r.disk.Backend, r.Store)
	o := outcome{points: r.disk.points, crashes: r.disk.crashes, doubled: r.disk.doubled, held: r.disk.held, began: r.began}
	if len(r.faults) == 0 {
		var err error
		if o.result, err = r.Result(ctx, st); err != nil {
			r.fault("result: %v", err)
		}
		r.faults = append(r.faults, r.audit(ctx, true)...)
	}
	all, err := st.Consumers(ctx)
	if err != nil {
		r.fault("consumers: %v", err)
	}
	o.consumers = len(all)
	for p, err := range st.Parked(ctx, eventstore.ParkedFilter{}) {
		if err != nil {
			r.fault("parked: %v", err)
			break
		}
		o.parked++
		if len(p.Failures) > 0 {
			o.failures = append(o.failures, fmt.Sprintf("parked by %s: %d: %s", p.Consumer, p.Position, p.Failures[len(p.Failures)-1].Error))
		}
	}
	for ev, err := range st.Read(ctx, eventstore.All(), eventstore.Range{}) {
		if err != nil {
			r.fault("log: %v", err)
			break
		}
		o.log = append(o.log, ev)
	}
	o.faults = r.faults
	return o
}
