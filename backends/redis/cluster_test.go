package redis_test

import (
	"errors"
	"fmt"
	"net/url"
	"testing"

	"github.com/necrostack/necrostack/backends/redis"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/eventstore/storetest"
	"github.com/necrostack/necrostack/internal/testenv"
)

func TestBackendOnACluster(t *testing.T) {
	t.Parallel()
	cluster := testenv.RedisCluster(t)
	storetest.Run(t, storetest.Harness{
		Open: func(tb testing.TB) func() eventstore.Backend {
			tb.Helper()
			return connect(tb, cluster.Database(tb))
		},
		Require: storetest.Everything(), Patience: patience,
	})
}

// While the log's keys are on their way to another node, one that is missing may be there: so commits and reads along indexes are
// refused as a whole, and are as before when all keys have arrived.
func TestALogThatMovesToAnotherNodeIsWholeBeforeAndAfter(t *testing.T) {
	t.Parallel()
	cluster := testenv.RedisCluster(t)
	dsn := cluster.Database(t)
	store := openStore(t, dsn, redis.Config{})
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	slot := cluster.Slot(t, "{"+u.Query().Get("log")+"}")
	add := func(n int) (eventstore.Commit, error) {
		c := eventstore.Commit{Appends: []eventstore.Append{{Stream: eventstore.StreamOf("a", fmt.Sprint(n)), Events: []eventstore.Event{event(t, store, fmt.Sprint("t:", n))}}}}
		_, err := store.Commit(t.Context(), c)
		return c, err
	}
	for n := range 10 {
		if _, err := add(n); err != nil {
			t.Fatal(err)
		}
	}
	from := cluster.Owner(t, slot)
	m := cluster.Migrate(t, slot, (from+1)%3)
	var waiting []eventstore.Commit
	for n := range 4 {
		c, err := add(100 + n)
		if !eventstore.IsRetryable(err) || errors.Is(err, eventstore.ErrOutcomeUnknown) {
			t.Errorf("with %d batches of keys on the other node: %v", n, err)
		}
		waiting = append(waiting, c)
		for _, err := range store.Read(t.Context(), eventstore.InStream("a-1"), eventstore.Range{}) {
			if err != nil && !errors.Is(err, eventstore.ErrUnavailable) {
				t.Errorf("a read, with %d batches of keys on the other node: %v", n, err)
			}
		}
		m.Move(t, 10)
	}
	m.Finish(t)
	ctx := within(t)
	for _, c := range waiting {
		if _, _, err := insist(ctx, store, c); err != nil {
			t.Error(err)
		}
	}
	if n := checkLog(t, store); n != 14 {
		t.Errorf("the log has %d events of 14", n)
	}
}
