package postgres_test

import (
	"testing"
	"time"

	"github.com/necrostack/necrostack/projections/viewtest"
	"github.com/necrostack/necrostack/spine/spinetest"
)

func TestViews(t *testing.T) {
	t.Parallel()
	viewtest.Run(t, spinetest.Harness{Open: open, Patience: 5 * time.Minute, Lease: time.Second})
}
