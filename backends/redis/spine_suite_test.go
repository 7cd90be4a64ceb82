package redis_test

import (
	"testing"
	"time"

	"github.com/necrostack/necrostack/spine/spinetest"
)

func TestSpine(t *testing.T) {
	t.Parallel()
	spinetest.Run(t, spinetest.Harness{Open: open, Patience: patience, Lease: time.Second})
}
