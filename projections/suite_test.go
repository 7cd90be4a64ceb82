package projections_test

import (
	"testing"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections/viewtest"
	"github.com/necrostack/necrostack/spine/spinetest"
)

func TestViews(t *testing.T) {
	t.Parallel()
	viewtest.Run(t, spinetest.Harness{Open: func(testing.TB) func() eventstore.Backend {
		b := memory.New()
		return func() eventstore.Backend { return b }
	}})
}
