package testenv_test

import (
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/necrostack/necrostack/internal/testenv"
)

func TestAReplicaTakesOverWhenThePrimaryIsKilled(t *testing.T) {
	t.Parallel()
	pair := testenv.RedisPair(t)
	client, replica := failoverClient(t, pair), testenv.RedisClient(t, pair.Replica.DSN())
	set(t, testenv.RedisClient(t, pair.Primary.DSN()), "replicated")
	pair.AwaitReplication(t)
	pair.CutReplication(t)
	set(t, testenv.RedisClient(t, pair.Primary.DSN()), "lost")
	pair.Primary.Kill(t)
	pair.AwaitPromotion(t)
	if n, err := client.Exists(t.Context(), "replicated").Result(); err != nil || n != 1 {
		t.Errorf("what was replicated is there %d times: %v", n, err)
	}
	if err := client.Get(t.Context(), "lost").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("what came after the cut: %v, want that it is lost", err)
	}
	set(t, client, "new")
	if n, err := replica.Exists(t.Context(), "new").Result(); err != nil || n != 1 {
		t.Errorf("the former replica has the new key %d times: %v", n, err)
	}
	pair.Primary.Start(t)
	pair.AwaitDemotion(t)
}

func TestAReplicaIsPromotedAndReplicationCutAndResumed(t *testing.T) {
	t.Parallel()
	pair := testenv.RedisPair(t)
	primary, replica := testenv.RedisClient(t, pair.Primary.DSN()), testenv.RedisClient(t, pair.Replica.DSN())
	pair.CutReplication(t)
	set(t, primary, "late")
	if n, err := replica.Exists(t.Context(), "late").Result(); err != nil || n != 0 {
		t.Errorf("the replica that was cut off has the key %d times: %v", n, err)
	}
	pair.ResumeReplication(t)
	if n, err := replica.Exists(t.Context(), "late").Result(); err != nil || n != 1 {
		t.Errorf("the replica has the key %d times: %v", n, err)
	}
	pair.Promote(t)
	set(t, failoverClient(t, pair), "new")
	if n, err := replica.Exists(t.Context(), "new").Result(); err != nil || n != 1 {
		t.Errorf("the former replica has the new key %d times: %v", n, err)
	}
}

func failoverClient(t *testing.T, pair *testenv.Pair) *redis.Client {
	t.Helper()
	options, err := redis.ParseFailoverURL(pair.DSN())
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewFailoverClient(options)
	t.Cleanup(func() { client.Close() })
	return client
}
