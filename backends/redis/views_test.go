package redis_test

import (
	"testing"
	"time"

	"github.com/necrostack/necrostack/projections/viewtest"
	"github.com/necrostack/necrostack/spine/spinetest"
)

var viewHarness = spinetest.Harness{Open: open, Patience: patience, Lease: time.Second}

func TestViews(t *testing.T) {
	t.Parallel()
	viewtest.Run(t, viewHarness)
}

func TestBlueGreen(t *testing.T) {
	t.Parallel()
	viewtest.BlueGreen(t, viewHarness)
}
