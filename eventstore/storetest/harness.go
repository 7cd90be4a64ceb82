package storetest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// Harness says how to reach the backend under test.
type Harness struct {
	// Open makes a fresh, empty log and returns how to connect to it. Each call of connect must be as good
	// as another process: a backend with connections of its own, which the suite closes. A log in memory
	// returns the same backend every time. Whatever goes wrong is reported to tb; both may be called by
	// many tests at once. What Open needs removed goes into tb.Cleanup.
	Open func(tb testing.TB) (connect func() eventstore.Backend)

	// Require lists optional interfaces whose absence is a failure. The tests of any other that the backend
	// does not implement are skipped. Defaults to none.
	Require []Capability

	Patience time.Duration // how long a check may take before it counts as hanging. Defaults to a minute
}

// Capability is an optional interface of backends, by its name in package eventstore.
type Capability string

// The optional interfaces that the suite has tests for.
const (
	Waker       Capability = "Waker"
	Leaser      Capability = "Leaser"
	Controller  Capability = "Controller"
	Deliverer   Capability = "Deliverer"
	Scheduler   Capability = "Scheduler"
	Parker      Capability = "Parker"
	Snapshotter Capability = "Snapshotter"
)

// Everything lists all optional interfaces, for Harness.Require.
func Everything() []Capability {
	return []Capability{Waker, Leaser, Controller, Deliverer, Scheduler, Parker, Snapshotter}
}

// of reports whether the backend implements the interface.
func (c Capability) of(b eventstore.Backend) (ok bool) {
	switch c {
	case Waker:
		_, ok = b.(eventstore.Waker)
	case Leaser:
		_, ok = b.(eventstore.Leaser)
	case Controller:
		_, ok = b.(eventstore.Controller)
	case Deliverer:
		_, ok = b.(eventstore.Deliverer)
	case Scheduler:
		_, ok = b.(eventstore.Scheduler)
	case Parker:
		_, ok = b.(eventstore.Parker)
	case Snapshotter:
		_, ok = b.(eventstore.Snapshotter)
	}
	return ok
}

// promise is a group of checks. Its sentence is part of every failure.
type promise struct {
	name   string
	says   string
	needs  []Capability
	checks []check
}

// check tries one aspect of a promise. Its name is a sentence that must be true.
type check struct {
	name  string
	needs []Capability
	heavy bool // takes more than a few milliseconds, under the race detector
	run   func(t *trial)
}

// suite lists everything that a backend is tried for.
func suite() []promise {
	return []promise{
		order(), versions(), atomicity(), guard(), durability(), idempotence(), immutability(), fencing(),
		reads(), queries(), conditions(), leases(), definitions(), control(), deliveries(), schedules(), parking(),
		snapshots(), cancellation(), limits(), waiting(), modelled(), linearizable(),
	}
}

// Run tries every promise on logs that h opens. Run and its tests are parallel.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for _, p := range suite() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range p.checks {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					h.try(t, p, c)
				})
			}
		})
	}
}

// try runs one check on a fresh log.
func (h Harness) try(tb testing.TB, p promise, c check) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), cmp.Or(h.Patience, time.Minute))
	tb.Cleanup(cancel)
	t := &trial{TB: tb, h: h, promise: fmt.Sprintf("%s (%s)", p.name, p.says), says: c.name, ctx: ctx}
	t.connect = h.Open(tb)
	t.store = t.another()
	for _, need := range slices.Concat(p.needs, c.needs) {
		switch b := t.store.Backend(); {
		case need.of(b):
		case slices.Contains(h.Require, need):
			t.Fatalf("Require lists eventstore.%s, and %T does not implement it", need, b)
		default:
			t.Skipf("%T is no eventstore.%s", b, need)
		}
	}
	c.run(t)
}
