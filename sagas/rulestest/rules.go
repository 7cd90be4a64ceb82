// Package rulestest holds the rules of sagas as tests that run on every backend: what is undone and what never is, when
// timers fire, what an operator can do, and that nothing ever waits for nothing.
package rulestest

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/necrostack/necrostack/spine/spinetest"
)

// Harness says how to reach the backend under test.
type Harness struct {
	spinetest.Harness

	// Virtual has each test run on a virtual clock, on which days pass at once. It is for backends that have no clock but
	// that of the process, and no connections.
	Virtual bool
}

// rule is one test. Its name is a sentence that must be true.
type rule struct {
	name string
	run  func(t *trial)
}

// Run tries every rule on logs that h opens. Its tests are parallel.
func Run(t *testing.T, h Harness) {
	t.Helper()
	topics := []struct {
		name  string
		rules []rule
	}{
		{"Order", order()},
		{"Undo", undo()},
		{"Pivot", pivots()},
		{"Stuck", stuck()},
		{"Timers", timers()},
		{"Replies", replies()},
		{"Calls", calls()},
		{"Nested", nested()},
		{"Processes", processes()},
		{"Operators", operators()},
		{"Many", many()},
	}
	for _, topic := range topics {
		t.Run(topic.name, func(t *testing.T) {
			t.Parallel()
			for _, r := range topic.rules {
				t.Run(r.name, func(t *testing.T) {
					t.Parallel()
					h.try(t, r)
				})
			}
		})
	}
}

func (h Harness) try(t *testing.T, r rule) {
	t.Helper()
	if !h.Virtual {
		r.run(newTrial(t, h, 750*time.Millisecond))
		return
	}
	synctest.Test(t, func(t *testing.T) {
		trial := newTrial(t, h, time.Minute)
		trial.Ctx = t.Context() // a virtual clock has no patience
		r.run(trial)
	})
}

// trial is one test, on a log of its own.
type trial struct {
	*spinetest.Trial

	virtual bool
	unit    time.Duration // a time that is short, and still longer than it takes to handle a few events
	world   *world
}

func newTrial(t *testing.T, h Harness, unit time.Duration) *trial {
	t.Helper()
	return &trial{Trial: spinetest.NewTrial(t, h.Harness), virtual: h.Virtual, unit: unit, world: newWorld()}
}

// list joins rules of several kinds.
func list(kinds ...[]rule) (all []rule) {
	for _, k := range kinds {
		all = append(all, k...)
	}
	return all
}

// each is a rule for each of some cases.
func each[C any](name string, cases map[string]C, run func(t *trial, c C)) (all []rule) {
	for of, c := range cases {
		all = append(all, rule{fmt.Sprintf("%s: %s", name, of), func(t *trial) { run(t, c) }})
	}
	return all
}
