package redis_test

import (
	"testing"

	"github.com/necrostack/necrostack/eventstore/storetest"
)

func BenchmarkBackend(b *testing.B) { storetest.Benchmark(b, storetest.Harness{Open: open}) }
