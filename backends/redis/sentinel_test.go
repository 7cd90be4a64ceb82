package redis_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/necrostack/necrostack/backends/redis"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
)

// Commits go on at the replica that took over, and who waits hears of them.
func TestTheLogFollowsAFailover(t *testing.T) {
	t.Parallel()
	pair := testenv.RedisPair(t)
	store := openStore(t, pair.Database(t), redis.Config{WaitReplicas: 1, WaitTimeout: 10 * time.Second})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	add := func(n int) {
		c := eventstore.Commit{Appends: []eventstore.Append{{Stream: "a-1", Events: []eventstore.Event{event(t, store, fmt.Sprint("t:", n))}}}}
		if _, _, err := insist(ctx, store, c); err != nil {
			t.Errorf("event %d: %v", n, err)
		}
	}
	for n := range 5 {
		add(n)
	}
	seen, err := store.Wait(ctx, eventstore.Pulse{})
	if err != nil {
		t.Fatal(err)
	}
	pair.Promote(t)
	pair.AwaitDemotion(t)
	add(5)
	for p := seen; p.Head < 6; {
		if p, err = store.Wait(ctx, p); err != nil && !eventstore.IsRetryable(err) || ctx.Err() != nil {
			t.Fatalf("who waits has come to %+v, %v", p, err)
		}
	}
	if n := checkLog(t, store); n != 6 {
		t.Errorf("the log has %d events of 6", n)
	}
	if h, err := redis.CheckHealth(ctx, store); err != nil || h.Role != "master" || h.Durability.Replicas != 1 {
		t.Errorf("the health is %+v, %v", h, err)
	}
}

// A commit that too few replicas have may be lost with the server: nobody can tell.
func TestACommitThatTooFewReplicasHaveIsAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	store := openStore(t, testenv.Redis(t).Database(t), redis.Config{WaitReplicas: 1, WaitTimeout: 50 * time.Millisecond})
	for n := range 2 {
		if _, err := store.Append(t.Context(), "a-1", eventstore.Any, happened{}); !errors.Is(err, eventstore.ErrOutcomeUnknown) {
			t.Errorf("%d: %v", n, err)
		}
	}
	if head, err := store.Head(t.Context()); err != nil || head != 2 {
		t.Errorf("the head is %d, %v", head, err)
	}
}

// A replica refuses every commit, and nothing of it is written.
func TestAReplicaRefusesCommits(t *testing.T) {
	t.Parallel()
	pair := testenv.RedisPair(t)
	pair.AwaitReplication(t)
	openStore(t, pair.Primary.DSN()+"?log=a", redis.Config{})
	pair.AwaitReplication(t)
	store := openStore(t, pair.Replica.DSN()+"?log=a", redis.Config{})
	_, err := store.Append(t.Context(), "a-1", eventstore.Any, happened{})
	if !eventstore.IsRetryable(err) || errors.Is(err, eventstore.ErrOutcomeUnknown) {
		t.Errorf("a commit to a replica: %v", err)
	}
}
