package memory_test

import (
	"testing"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/eventstore/storetest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// harness opens logs in memory. All connections to one share its backend.
func harness() storetest.Harness {
	return storetest.Harness{
		Open: func(testing.TB) func() eventstore.Backend {
			b := memory.New()
			return func() eventstore.Backend { return b }
		},
		Require: storetest.Everything(),
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, harness())
}

func BenchmarkBackend(b *testing.B) { storetest.Benchmark(b, harness()) }
