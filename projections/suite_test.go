package projections_test

import (
	"testing"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections/viewtest"
	"github.com/necrostack/necrostack/spine/spinetest"
)

// inMemory opens a log whose connections share one process.
func inMemory() spinetest.Harness {
	return spinetest.Harness{Open: func(testing.TB) func() eventstore.Backend {
		b := memory.New()
		return func() eventstore.Backend { return b }
	}}
}

func TestViews(t *testing.T) {
	t.Parallel()
	viewtest.Run(t, inMemory())
}

func TestBlueGreen(t *testing.T) {
	t.Parallel()
	viewtest.BlueGreen(t, inMemory())
}

// TestKill is what TestKill of backends/postgres is for a log in memory, which ends with its process: connections are cut in
// place of processes killed.
func TestKill(t *testing.T) {
	t.Parallel()
	h := inMemory()
	h.Patience = 5 * time.Minute
	viewtest.Cuts(t, h, 100)
}
