package redis_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
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
	ctx := within(t)
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

// What a failover loses is what the table of docs/redis.md says: all that the replica had not received, or, where commits wait for
// it, nothing that was acknowledged. Writers commit until the primary is killed.
func TestWhatAFailoverLoses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		config redis.Config
		cut    bool // the replica receives nothing more, from the middle on
	}{
		"no commit waits for the replica":   {redis.Config{}, true},
		"each commit waits for the replica": {redis.Config{WaitReplicas: 1, WaitTimeout: patience}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const writers, share = 4, 25
			ctx, pair := within(t), testenv.RedisPair(t)
			dsn := pair.Database(t)
			acknowledged := make(chan string, 1<<16)
			ctx, stop := context.WithCancel(ctx)
			defer stop()
			var all sync.WaitGroup
			for w := range writers {
				store := openStore(t, dsn, tt.config)
				all.Go(func() {
					for n := 0; ctx.Err() == nil && len(acknowledged) < cap(acknowledged)/2; n++ {
						tag := fmt.Sprintf("t:%d-%d", w, n)
						c := eventstore.Commit{Appends: []eventstore.Append{{Stream: "a-1", Events: []eventstore.Event{event(t, store, tag)}}}}
						if _, err := store.Commit(ctx, c); err != nil {
							return
						}
						acknowledged <- tag
					}
				})
			}
			more := func() {
				before := len(acknowledged)
				until(ctx, t, "more commits are acknowledged", func() bool { return len(acknowledged) >= before+writers*share })
			}
			more()
			if tt.cut {
				pair.CutReplication(t)
				more()
			}
			pair.Primary.Kill(t)
			pair.AwaitPromotion(t)
			all.Wait()
			kept, lost := map[string]bool{}, 0
			for e, err := range openStore(t, dsn, redis.Config{}).Read(ctx, eventstore.All(), eventstore.Range{}) {
				if err != nil {
					t.Fatal(err)
				}
				kept[e.Tags[0]] = true
			}
			total := len(acknowledged)
			for range total {
				if !kept[<-acknowledged] {
					lost++
				}
			}
			t.Logf("%s: of %d events acknowledged, %d were lost", name, total, lost)
			if tt.cut != (lost > 0) {
				t.Errorf("%d of %d acknowledged events were lost", lost, total)
			}
		})
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
