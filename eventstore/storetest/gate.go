package storetest

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/necrostack/necrostack/eventstore"
)

// gate is a backend whose commits wait to be let through.
type gate struct {
	eventstore.Backend
	after   bool // wait after the write rather than before it
	arrived chan []eventstore.Commit
	open    chan struct{}
}

// gated opens a store behind a gate. The gate lets everything through when the check ends.
func (t *trial) gated(after bool) (*eventstore.Store, *gate) {
	t.Helper()
	g := &gate{after: after, arrived: make(chan []eventstore.Commit, 100), open: make(chan struct{})}
	s := t.wrapped(eventstore.Config{}, func(b eventstore.Backend) eventstore.Backend {
		g.Backend = b
		return g
	})
	t.Cleanup(g.letThrough)
	return s, g
}

func (g *gate) Commit(ctx context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	mine := append([]eventstore.Commit(nil), batch...)
	if g.after {
		outcomes, err := g.Backend.Commit(ctx, batch)
		g.arrived <- mine
		<-g.open
		return outcomes, err
	}
	g.arrived <- mine
	<-g.open
	return g.Backend.Commit(ctx, batch)
}

// letThrough opens the gate for good.
func (g *gate) letThrough() {
	select {
	case <-g.open:
	default:
		close(g.open)
	}
}

// counter is a backend that counts its calls.
type counter struct {
	eventstore.Backend
	calls atomic.Int64
}

func (c *counter) Commit(ctx context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	c.calls.Add(1)
	return c.Backend.Commit(ctx, batch)
}

func (c *counter) Read(ctx context.Context, q eventstore.Query, r eventstore.Range) iter.Seq2[eventstore.Event, error] {
	c.calls.Add(1)
	return c.Backend.Read(ctx, q, r)
}

// amnesiac is a backend whose answers get lost, before or after the write, as often as it is told.
type amnesiac struct {
	eventstore.Backend
	mu           sync.Mutex
	before, lost int // answers to lose without writing, and after writing
}

func (a *amnesiac) Commit(ctx context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	a.mu.Lock()
	before, after := a.before > 0, a.before == 0 && a.lost > 0
	switch {
	case before:
		a.before--
	case after:
		a.lost--
	}
	a.mu.Unlock()
	if before {
		return nil, eventstore.ErrOutcomeUnknown
	}
	outcomes, err := a.Backend.Commit(ctx, batch)
	if after {
		return nil, eventstore.ErrOutcomeUnknown
	}
	return outcomes, err
}
