package spine_test

import (
	"testing"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine/spinetest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inMemory opens logs in memory.
var inMemory = spinetest.Harness{Open: func(testing.TB) func() eventstore.Backend {
	b := memory.New()
	return func() eventstore.Backend { return b }
}}

func TestSpineInMemory(t *testing.T) {
	t.Parallel()
	spinetest.Run(t, inMemory)
}
