package redis_test

import (
	"os"
	"testing"
	"time"

	"github.com/necrostack/necrostack/backends/redis"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/eventstore/storetest"
	"github.com/necrostack/necrostack/internal/testenv"
	"go.uber.org/goleak"
)

// patience is for a test of a busy machine; what it waits for takes seconds, or a minute or two.
const patience = 15 * time.Minute

func TestMain(m *testing.M) {
	if addresses := os.Getenv(viewsVariable); addresses != "" {
		os.Exit(viewsProgram(addresses))
	}
	goleak.VerifyTestMain(testenv.Main(m))
}

// open makes a log of its own. Every connection is a backend with a pool of its own.
func open(tb testing.TB) func() eventstore.Backend {
	tb.Helper()
	return connect(tb, testenv.Redis(tb).Database(tb))
}

// connect opens the log of a DSN, again and again.
func connect(tb testing.TB, dsn string) func() eventstore.Backend {
	tb.Helper()
	return func() eventstore.Backend {
		s, err := redis.Open(tb.Context(), dsn+"&pool_size=8", redis.Config{})
		if err != nil {
			tb.Fatal(err)
		}
		return s.Backend()
	}
}

func TestBackend(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Harness{Open: open, Require: storetest.Everything(), Patience: patience})
}
