package testenv_test

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/necrostack/necrostack/internal/testenv"
)

func TestAClusterServesWhoeverFollowsIt(t *testing.T) {
	t.Parallel()
	cluster := testenv.RedisCluster(t)
	client := clusterClient(t, cluster)
	owners := map[int]bool{}
	for _, key := range []string{"{a}", "{b}", "{c}", "{d}"} {
		if err := client.Set(t.Context(), key, "value", 0).Err(); err != nil {
			t.Fatal(err)
		}
		owners[cluster.Owner(t, cluster.Slot(t, key))] = true
	}
	if len(owners) != 3 {
		t.Errorf("the keys are on %d nodes, want three", len(owners))
	}

	key := "{a}"
	node := cluster.Nodes[cluster.Owner(t, cluster.Slot(t, key))]
	node.Kill(t)
	if err := client.Get(t.Context(), key).Err(); err == nil {
		t.Error("a node that was killed still serves")
	}
	node.Start(t)
	cluster.Await(t)
	if got, err := client.Get(t.Context(), key).Result(); err != nil || got != "value" {
		t.Errorf("the node has kept %q, %v", got, err)
	}
}

// What a client gets to see of a slot that moves is what servers say, not what a client of a cluster makes of it.
func TestASlotMovesFromNodeToNode(t *testing.T) {
	t.Parallel()
	cluster := testenv.RedisCluster(t)
	slot := cluster.Slot(t, "{t}")
	from := cluster.Owner(t, slot)
	to := (from + 1) % 3
	old, other := testenv.RedisClient(t, cluster.Nodes[from].DSN()), testenv.RedisClient(t, cluster.Nodes[to].DSN())
	set(t, old, "{t}1", "{t}2", "{t}3")

	refused(t, "of another node", other.Get(t.Context(), "{t}1"), "MOVED")
	migration := cluster.Migrate(t, slot, to)
	migration.MoveKeys(t, "{t}1")
	refused(t, "that has moved", old.Get(t.Context(), "{t}1"), "ASK")
	refused(t, "that moves", old.MGet(t.Context(), "{t}1", "{t}2"), "TRYAGAIN")
	if got, err := old.Get(t.Context(), "{t}2").Result(); err != nil || got != "value" {
		t.Errorf("a key that has not moved yet: %q, %v", got, err)
	}
	migration.Finish(t)
	if now := cluster.Owner(t, slot); now != to {
		t.Errorf("the slot is on node %d, want %d", now, to)
	}
	refused(t, "of a slot that has moved", old.Get(t.Context(), "{t}1"), "MOVED")
	if got, err := clusterClient(t, cluster).MGet(t.Context(), "{t}1", "{t}2", "{t}3").Result(); err != nil || len(got) != 3 {
		t.Errorf("afterwards there are %v, %v", got, err)
	}
}

func refused(t *testing.T, which string, command redis.Cmder, want string) {
	t.Helper()
	if err := command.Err(); err == nil || !strings.HasPrefix(err.Error(), want+" ") {
		t.Errorf("a key %s: %v, want %s", which, err, want)
	}
}

func clusterClient(t *testing.T, cluster *testenv.Cluster) *redis.ClusterClient {
	t.Helper()
	options, err := redis.ParseClusterURL(cluster.DSN())
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClusterClient(options)
	t.Cleanup(func() { client.Close() })
	return client
}
