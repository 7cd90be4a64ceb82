package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/redis"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
)

// insist sends a commit again until its outcome is known.
func insist(ctx context.Context, s *eventstore.Store, c eventstore.Commit) (r eventstore.Result, unknown int, err error) {
	for {
		if r, err = s.Commit(ctx, c); !eventstore.IsRetryable(err) || ctx.Err() != nil {
			return r, unknown, err
		}
		if errors.Is(err, eventstore.ErrOutcomeUnknown) {
			unknown++
		}
		t := time.NewTimer(10 * time.Millisecond)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// event makes one with a tag.
func event(tb testing.TB, s *eventstore.Store, tag string) eventstore.Event {
	tb.Helper()
	a, err := s.NewAppend("x-1", eventstore.Any, happened{})
	if err != nil {
		tb.Fatal(err)
	}
	e := a.Events[0]
	e.Tags = []string{tag}
	return e
}

// checkLog checks that positions and versions have no gaps, and that every index finds what the log has.
func checkLog(tb testing.TB, s *eventstore.Store) (events int) {
	tb.Helper()
	versions, tags := map[eventstore.Stream]eventstore.Version{}, map[string]int{}
	for e, err := range s.Read(tb.Context(), eventstore.All(), eventstore.Range{}) {
		if err != nil {
			tb.Fatal(err)
		}
		events++
		versions[e.Stream]++
		tags[e.Tags[0]]++
		if e.Position != eventstore.Position(events) || e.Version != versions[e.Stream] {
			tb.Fatalf("event %d stands at %d, and event %d of %s is of version %d", events, e.Position, versions[e.Stream], e.Stream, e.Version)
		}
	}
	count := func(q eventstore.Query) (n int) {
		for _, err := range s.Read(tb.Context(), q, eventstore.Range{}) {
			if err != nil {
				tb.Fatal(err)
			}
			n++
		}
		return n
	}
	for stream, n := range versions {
		if got := count(eventstore.InStream(stream)); got != int(n) {
			tb.Errorf("%s has %d events, and %d are found", stream, n, got)
		}
	}
	for tag, n := range tags {
		if got := count(eventstore.WithTags(tag)); got != n || n != 1 {
			tb.Errorf("%d events have the tag %s of one, and %d are found", n, tag, got)
		}
	}
	if got := count(eventstore.OfType("happened")); got != events {
		tb.Errorf("%d events have happened, and %d are found", events, got)
	}
	return events
}

// What was acknowledged is there after the server was killed, each event once, and no index lacks any.
func TestAServerThatIsKilledLosesNothing(t *testing.T) {
	t.Parallel()
	server := testenv.OwnRedis(t)
	store := openStore(t, server.Database(t), redis.Config{})
	ctx := within(t)
	const writers, each = 8, 60
	var mu sync.Mutex
	done, unknown := 0, 0
	third := make(chan struct{})
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for n := range each {
				stream := eventstore.StreamOf("w", fmt.Sprint(w))
				c := eventstore.Commit{Appends: []eventstore.Append{{
					Stream: stream, Expect: eventstore.Exact(eventstore.Version(n)), Events: []eventstore.Event{event(t, store, fmt.Sprintf("t:%d:%d", w, n))},
				}}}
				_, lost, err := insist(ctx, store, c)
				if err != nil {
					t.Errorf("writer %d, event %d: %v", w, n, err)
					return
				}
				mu.Lock()
				unknown += lost
				if done++; done == writers*each/3 {
					close(third)
				}
				mu.Unlock()
			}
		})
	}
	<-third
	server.Kill(t)
	server.Start(t)
	all.Wait()
	if n := checkLog(t, store); n != writers*each {
		t.Errorf("%d events were acknowledged, and the log has %d", writers*each, n)
	}
	t.Logf("the outcome of %d commits was unknown for a while", unknown)
}

// The connection is cut after a commit was written and before its answer arrives. Sent again, it returns its first result.
func TestAnAnswerThatIsLostIsAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	server := testenv.Redis(t)
	dsn := server.Database(t)
	proxy := testenv.NewProxy(t, server.Addr())
	store, direct := openStore(t, proxy.DSN(t, dsn), redis.Config{}), openStore(t, dsn, redis.Config{})
	for n, way := range []testenv.Way{testenv.ToClient, testenv.ToServer} {
		c := eventstore.Commit{Appends: []eventstore.Append{{Stream: "a-1", Expect: eventstore.Exact(eventstore.Version(n)), Events: []eventstore.Event{event(t, store, fmt.Sprint("t:", n))}}}}
		held := proxy.HalfOpen(way)
		failed := make(chan error, 1)
		go func() {
			_, err := store.Commit(t.Context(), c)
			failed <- err
		}()
		<-held
		proxy.Cut()
		if err := <-failed; !errors.Is(err, eventstore.ErrOutcomeUnknown) {
			t.Errorf("%d: %v", n, err)
		}
		proxy.Restore(t)
		if r, _, err := insist(t.Context(), store, c); err != nil || r.Position != eventstore.Position(n+1) || r.Version() != eventstore.Version(n+1) {
			t.Errorf("%d, sent again: %+v, %v", n, r, err)
		}
		if got := checkLog(t, direct); got != n+1 {
			t.Errorf("%d: the log has %d events", n, got)
		}
	}
}

// A server without memory refuses a commit as a whole, also one that begins with what needs none.
func TestAFullServerRefusesACommitWhole(t *testing.T) {
	t.Parallel()
	server := testenv.OwnRedis(t, "maxmemory 8mb")
	dsn := server.Database(t)
	store := openStore(t, dsn, redis.Config{})
	timer := eventstore.Schedule{ID: event(t, store, "").ID, Due: time.Now().Add(time.Hour), Append: eventstore.Append{Stream: "a-1", Events: []eventstore.Event{event(t, store, "t:s")}}}
	if _, err := store.Commit(t.Context(), eventstore.Commit{Schedules: []eventstore.Schedule{timer}}); err != nil {
		t.Fatal(err)
	}
	client := testenv.RedisClient(t, dsn)
	if err := client.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	c := eventstore.Commit{
		Appends: []eventstore.Append{{Stream: "a-1", Events: []eventstore.Event{event(t, store, "t:1"), event(t, store, "t:2")}}},
		Cancels: []uuid.UUID{timer.ID},
	}
	_, err := store.Commit(t.Context(), c)
	if !eventstore.IsRetryable(err) || errors.Is(err, eventstore.ErrOutcomeUnknown) || !strings.Contains(err.Error(), "maxmemory") {
		t.Errorf("without memory: %v", err)
	}
	waiting := 0
	for _, err := range store.Backend().(eventstore.Scheduler).Scheduled(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		waiting++
	}
	if n := checkLog(t, store); n != 0 || waiting != 1 {
		t.Errorf("of a commit that was refused there are %d events, and %d timers of one", n, waiting)
	}
	if err := client.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Commit(t.Context(), c); err != nil {
		t.Error(err)
	}
	if n := checkLog(t, store); n != 2 {
		t.Errorf("the log has %d events", n)
	}
}

// A server forgets scripts when it starts anew, or is told to.
func TestScriptsThatWereForgottenAreGivenAgain(t *testing.T) {
	t.Parallel()
	server := testenv.OwnRedis(t)
	dsn := server.Database(t)
	store, client := openStore(t, dsn, redis.Config{}), testenv.RedisClient(t, dsn)
	for n := range 3 {
		if err := client.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if r, err := store.Append(t.Context(), "a-1", eventstore.Exact(eventstore.Version(n)), happened{}); err != nil || r.Position != eventstore.Position(n+1) {
			t.Errorf("%+v, %v", r, err)
		}
	}
}
