package projections

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
	ratelimit "golang.org/x/time/rate"
)

// Projection is a View or Handlers.
type Projection interface {
	spine.Organ

	// atMost is the projection with a bound on how many events a second it folds; 0 leaves it as it is.
	atMost(rate int) Projection
	// anew empties the projection, unless a rebuild is under way. done is to be called when it has caught up.
	anew(ctx context.Context, st *eventstore.Store) (consumer string, done func(ctx context.Context) error, err error)
}

// RebuildConfig of a rebuild. The zero value works.
type RebuildConfig struct {
	Rate   int              // events a second that each projection may fold at most, in this process. Defaults to no bound
	Report func([]Progress) // told how all projections stand. Defaults to a line in the log every five seconds
	Every  time.Duration    // how often. Defaults to 100 ms
	Spine  spine.Config     // of what runs them
}

// Rebuild folds projections anew from the beginning of the log, all in this process and together with whoever else runs
// them, and returns when they have caught up with it. What has done the log before is emptied first, in place, and readers
// see it grow: to have the old rows of a view serve meanwhile, raise its Version instead. What has not, because its version is
// new or because a rebuild was interrupted, goes on from where it stands.
//
// A projection that is paused is eventstore.ErrPaused. If ctx ends, Rebuild returns its error, and how far it has come;
// nothing is lost, and the next Rebuild goes on from there. Events that were in the log before are history to handlers: see
// eventstore.History.
func Rebuild(ctx context.Context, st *eventstore.Store, cfg RebuildConfig, projections ...Projection) ([]Progress, error) {
	if cfg.Rate < 0 || cfg.Every < 0 {
		return nil, errors.New("rebuild: the config has a negative Rate or Every")
	}
	if len(projections) == 0 {
		return nil, errors.New("rebuild: there is no projection")
	}
	if cfg.Every == 0 {
		cfg.Every = 100 * time.Millisecond
	}
	if cfg.Report == nil {
		cfg.Report = logged(cfg.Spine.Logger)
	}
	organs := make([]spine.Organ, len(projections))
	for i, p := range projections {
		organs[i] = p.atMost(cfg.Rate)
	}
	sp, err := spine.New(st, cfg.Spine, organs...) // before anything is emptied
	if err != nil {
		return nil, fmt.Errorf("rebuild: %w", err)
	}
	all, done := make([]Progress, len(projections)), make([]func(context.Context) error, len(projections))
	for i, p := range projections {
		if all[i].Projection, done[i], err = p.anew(ctx, st); err != nil {
			return nil, fmt.Errorf("rebuild: %w", err)
		}
	}
	if err := (&rebuild{st, cfg, sp, all}).run(ctx); err != nil {
		return all, fmt.Errorf("rebuild: %w", err)
	}
	for i := range done {
		if err := done[i](ctx); err != nil {
			return all, fmt.Errorf("rebuild: %s: %w", all[i].Projection, err)
		}
	}
	return all, nil
}

// rebuild is one under way.
type rebuild struct {
	store *eventstore.Store
	cfg   RebuildConfig
	spine *spine.Spine
	all   []Progress
}

// run runs the Spine until all have caught up.
func (r *rebuild) run(ctx context.Context) error {
	run, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- r.spine.Run(run) }()
	followed := make(chan error, 1)
	go func() { followed <- r.follow(run) }()
	select {
	case err := <-ended:
		stop()
		if stopped := <-followed; err == nil { // ctx has ended
			err = stopped
		}
		return err
	case err := <-followed:
		stop()
		if runErr := <-ended; ctx.Err() == nil {
			err = errors.Join(err, runErr)
		}
		return err
	}
}

// follow reports until all have caught up.
func (r *rebuild) follow(ctx context.Context) error {
	began, first, before := time.Now(), make([]eventstore.Status, len(r.all)), make([]eventstore.Status, len(r.all))
	ticker := time.NewTicker(r.cfg.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		for i := range r.all {
			p := &r.all[i]
			if p.CaughtUp {
				continue
			}
			s, err := r.store.Status(ctx, p.Projection)
			switch {
			case errors.Is(err, eventstore.ErrInvalid), err != nil && ctx.Err() == nil && isAway(err): // it has not begun yet, or will go on
				continue
			case err != nil:
				return err
			case s.Paused:
				return fmt.Errorf("%s: %w", s.Consumer, eventstore.ErrPaused)
			}
			if first[i].Consumer == "" {
				first[i] = s
			}
			p.Elapsed = time.Since(began)
			p.update(&first[i], &before[i], s)
		}
		r.cfg.Report(r.all)
		if allCaughtUp(r.all) {
			return nil
		}
	}
}

// update takes a status over. The projection has caught up when it has done what was the head at the look before.
func (p *Progress) update(first, before *eventstore.Status, now eventstore.Status) {
	pace := now.Since(*first)
	p.Total, p.Done = now.Head, eventstore.Position(now.Done()*float64(now.Head))
	p.Rate, p.Left = pace.Rate, -1
	if pace.Nears {
		p.Left = pace.Left
	}
	p.CaughtUp = before.Consumer != "" && now.Position >= before.Head
	*before = now
}

// logged reports to a log.
func logged(logger *slog.Logger) func([]Progress) {
	if logger == nil {
		logger = slog.Default()
	}
	var last time.Time
	return func(all []Progress) {
		if !allCaughtUp(all) && time.Since(last) < 5*time.Second {
			return
		}
		last = time.Now()
		for _, p := range all {
			logger.Info("rebuild", "projection", p.Projection, "done", int64(p.Done), "total", int64(p.Total),
				"rate", int64(p.Rate), "left", p.Left.Round(time.Second), "caught_up", p.CaughtUp)
		}
	}
}

// underWay reports whether a consumer has not yet done what was in the log when it began; or whether nobody has run it.
func underWay(ctx context.Context, st *eventstore.Store, consumer string) (bool, error) {
	r, err := st.Roster(ctx, consumer)
	if errors.Is(err, eventstore.ErrInvalid) {
		return true, nil
	}
	return r.Position() < r.History, err
}

// atMost implements Projection.
func (v View[Row]) atMost(rate int) Projection {
	v.Rate = cmp.Or(rate, v.Rate)
	return v
}

// anew implements Projection.
func (v View[Row]) anew(ctx context.Context, st *eventstore.Store) (consumer string, done func(context.Context) error, err error) {
	k, _ := v.keeping() // Attach has found no fault
	k.keeper, _ = keeperOf(st)
	consumer = k.set.Table()
	if err := k.define(ctx); err != nil {
		return consumer, nil, fmt.Errorf("%s: %w", consumer, err)
	}
	begun, err := underWay(ctx, st, consumer)
	if err == nil && !begun {
		err = st.Reset(ctx, consumer, 0)
	}
	return consumer, k.serve, err
}

// throttle keeps an organ to so many events a second; 0 is no bound.
func throttle(w *spine.Wiring, rate int) {
	if rate <= 0 || w.MaxBatch < 0 { // which is a fault already
		return
	}
	// The lanes of a process take turns, each for a part of a second.
	w.MaxBatch = max(1, min(w.MaxBatch, rate/8))
	bound := &bound{ratelimit.NewLimiter(ratelimit.Limit(rate), w.MaxBatch)}
	handle, gather := w.HandleBatch, w.Gather
	w.HandleBatch = func(ctx context.Context, batch []spine.Input) (spine.Output, int, error) {
		if err := bound.wait(ctx, len(batch)); err != nil {
			return spine.Output{}, 0, err
		}
		return handle(ctx, batch)
	}
	if gather != nil {
		w.Gather = func() spine.Gatherer { return throttled{gather(), bound} }
	}
}

// bound is how many events may be folded in a second.
type bound struct{ by *ratelimit.Limiter }

// wait waits until it is the turn of n events. If that takes too long, no event is to blame.
func (b *bound) wait(ctx context.Context, n int) error {
	for n > 0 {
		some := min(n, b.by.Burst())
		if err := b.by.WaitN(ctx, some); err != nil {
			return fmt.Errorf("%w: it is not its turn yet: %w", eventstore.ErrUnavailable, err)
		}
		n -= some
	}
	return nil
}

// throttled is a Gatherer with a bound.
type throttled struct {
	spine.Gatherer

	bound *bound
}

// Add implements spine.Gatherer.
func (t throttled) Add(ctx context.Context, batch []spine.Input) (bool, error) {
	if err := t.bound.wait(ctx, len(batch)); err != nil {
		return false, err
	}
	return t.Gatherer.Add(ctx, batch)
}
