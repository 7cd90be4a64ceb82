package redis_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/necrostack/necrostack/backends/redis"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
)

// A replica takes over that lacks what was acknowledged, and what its log goes on with stands in the place of that: the store of
// before fails, whether it has written or only read, and one that is opened then does not.
func TestAFailoverThatLosesEventsIsNoticed(t *testing.T) {
	t.Parallel()
	for name, regrown := range map[string]int{"what is short": 0, "what has grown again": 5} {
		t.Run(name, func(t *testing.T) {
			ctx := within(t)
			pair := testenv.RedisPair(t)
			dsn := pair.Database(t)
			writer, reader := openStore(t, dsn, redis.Config{}), openStore(t, dsn, redis.Config{})
			add := func(s *eventstore.Store, n int) {
				t.Helper()
				c := eventstore.Commit{Appends: []eventstore.Append{{Stream: "a-1", Events: []eventstore.Event{event(t, s, fmt.Sprint("t:", n))}}}}
				if _, _, err := insist(ctx, s, c); err != nil {
					t.Fatal(err)
				}
			}
			for n := range 3 {
				add(writer, n)
			}
			pair.AwaitReplication(t)
			pair.CutReplication(t)
			add(writer, 3)
			if n := checkLog(t, reader); n != 4 {
				t.Fatalf("%d events were read of 4", n)
			}
			pair.Primary.Kill(t)
			pair.AwaitPromotion(t)
			other := openStore(t, dsn, redis.Config{})
			for n := range regrown {
				add(other, 10+n)
			}
			if n := checkLog(t, other); n != 3+regrown {
				t.Errorf("the log has %d events, and should have lost one of 4 and got %d", n, regrown)
			}
			for who, s := range map[string]*eventstore.Store{"who has written": writer, "who has read": reader} {
				var err error
				until(ctx, t, who+" is told", func() bool {
					_, err = s.Head(ctx)
					return !eventstore.IsRetryable(err) && !errors.Is(err, eventstore.ErrUnavailable)
				})
				told(t, who, err)
				c := eventstore.Commit{Appends: []eventstore.Append{{Stream: "a-1", Events: []eventstore.Event{event(t, s, "t:x")}}}}
				_, err = s.Commit(ctx, c)
				told(t, who+", and commits", err)
				if errors.Is(err, eventstore.ErrOutcomeUnknown) {
					t.Errorf("%s: nothing was sent, and the outcome is unknown", who)
				}
			}
		})
	}
}

// A server that was killed and comes back with all that it had is as before.
func TestAServerThatComesBackWholeIsNotTakenForAnother(t *testing.T) {
	t.Parallel()
	server := testenv.OwnRedis(t)
	store := openStore(t, server.Database(t), redis.Config{})
	for n := range 3 {
		c := eventstore.Commit{Appends: []eventstore.Append{{Stream: "a-1", Events: []eventstore.Event{event(t, store, fmt.Sprint("t:", n))}}}}
		if _, _, err := insist(t.Context(), store, c); err != nil {
			t.Fatal(err)
		}
		server.Kill(t)
		server.Start(t)
	}
	until(t.Context(), t, "it answers", func() bool {
		_, err := store.Head(t.Context())
		return err == nil
	})
	if n := checkLog(t, store); n != 3 {
		t.Errorf("the log has %d events", n)
	}
}
