package sagas_test

import (
	"testing"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/sagas/rulestest"
	"github.com/necrostack/necrostack/spine/spinetest"
)

// inMemory opens a log whose connections share one process, and a virtual clock.
func inMemory() rulestest.Harness {
	return rulestest.Harness{Virtual: true, Harness: spinetest.Harness{Open: func(testing.TB) func() eventstore.Backend {
		b := memory.New()
		return func() eventstore.Backend { return b }
	}}}
}

func TestRules(t *testing.T) {
	t.Parallel()
	rulestest.Run(t, inMemory())
}

func TestModel(t *testing.T) {
	t.Parallel()
	rulestest.Model(t, inMemory(), 150)
}
