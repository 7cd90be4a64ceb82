package postgres_test

import (
	"context"
	"errors"
	"log/slog"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
	"github.com/necrostack/necrostack/spine/spinetest"
)

// workerConfig is what a worker is told: a process that runs a Spine until SIGTERM.
type workerConfig struct {
	DSN   string
	Lease time.Duration
	shape
	Hold   string // the first commit of this kind waits for word of the parent: ordered, competing or redrive
	Broken bool   // the clerk cannot handle number 13
	Views  bool   // it runs views in place of the bank's organs
	Sagas  bool   // it runs journeys in their place
}

// workerReport is what a worker says: how many partitions it works, what went wrong, or about the commit that it holds.
type workerReport struct {
	Lanes  map[string]int // nil: not about them
	Failed int64          // attempts, with Lanes
	Up     bool           // it is about to run
	Step   spine.Step
	Error  string
	Holds  bool // from now on
	Held   bool // no more
	Fenced bool // what became of it
}

// workerProgram is a worker.
func workerProgram(ctx context.Context, p *parent) error {
	var c workerConfig
	if err := p.hear(&c); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	pool, err := c.pool(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	b, err := postgres.New(ctx, pool, postgres.Config{})
	if err != nil {
		return err
	}
	tap := spinetest.NewTap(b)
	if c.Hold != "" {
		tap.OnCommit = p.hold(c.Hold)
	}
	store, run := eventstore.New(tap, eventstore.Config{}), c.organs(c.Broken)
	if c.Views {
		store, run = eventstore.New(b, eventstore.Config{}), viewOrgans() // handlers in SQL need the backend itself
	}
	if c.Sagas {
		run = journeyOrgans()
	}
	sp, err := spine.New(store, spine.Config{
		Lease: c.Lease, Logger: slog.New(slog.DiscardHandler), Observers: []spine.Observer{observer{p}},
	}, run...)
	if err != nil {
		return err
	}
	if err := p.tell(workerReport{Up: true}); err != nil {
		return err
	}
	done := make(chan struct{})
	go p.tellLanes(sp, done)
	err = sp.Run(ctx)
	close(done)
	return errors.Join(err, store.Close())
}

func (c workerConfig) pool(ctx context.Context) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(c.DSN)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = 6
	cfg.ConnConfig.ConnectTimeout = 5 * time.Second
	return pgxpool.NewWithConfig(ctx, cfg)
}

// tellLanes tells the parent whenever the number of lanes, or of failures, has changed.
func (p *parent) tellLanes(sp *spine.Spine, done <-chan struct{}) {
	last, failed := map[string]int{}, int64(0)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		st := sp.Stats()
		changed := st.Failed != failed
		for _, o := range st.Organs {
			changed = changed || last[o.Name] != o.Lanes
			last[o.Name] = o.Lanes
		}
		if failed = st.Failed; changed {
			_ = p.tell(workerReport{Lanes: last, Failed: failed}) // it ends with its parent
		}
		select {
		case <-tick.C:
		case <-done:
			return
		}
	}
}

// observer tells the parent what goes wrong.
type observer struct{ *parent }

func (o observer) Observe(ctx context.Context, x spine.Observation) context.Context {
	switch x.Step {
	case spine.LeaseLost, spine.StoreFailed, spine.CommitFailed, spine.HandlerFailed, spine.EventParked, spine.Redefined:
		r := workerReport{Step: x.Step}
		if x.Err != nil {
			r.Error = x.Err.Error()
		}
		_ = o.tell(r) // it ends with its parent
	}
	return ctx
}

// hold keeps the first commit of a kind back until the parent says a word, between the store and the server: whatever
// the process knows of its leases by then, the commit is sent.
func (p *parent) hold(kind string) func([]eventstore.Commit, func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
	var held atomic.Bool
	return func(batch []eventstore.Commit, write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
		n := -1
		for i := range batch {
			if isOfKind(&batch[i], kind) {
				n = i
			}
		}
		if n < 0 || held.Swap(true) {
			return write()
		}
		var word string
		if err := errors.Join(p.tell(workerReport{Holds: true}), p.hear(&word)); err != nil {
			return nil, err
		}
		outcomes, err := write()
		r := workerReport{Held: true}
		if err != nil {
			r.Error = err.Error()
		} else if o := outcomes[n]; o.Err != nil {
			r.Error, r.Fenced = o.Err.Error(), errors.Is(o.Err, eventstore.ErrFenced)
		}
		return outcomes, errors.Join(err, p.tell(r))
	}
}

// isOfKind reports whether a commit is what a clerk, a mailer, or a clerk's redrive has come to.
func isOfKind(c *eventstore.Commit, kind string) bool {
	if len(c.Appends) == 0 {
		return false
	}
	switch kind {
	case "competing":
		return len(c.Acks) > 0
	case "redrive":
		return len(c.Unparks) > 0
	default:
		return len(c.Checkpoints) > 0 && c.Checkpoints[0].Consumer == "clerk" && len(c.Unparks) == 0
	}
}
