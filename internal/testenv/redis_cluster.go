package testenv

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/necrostack/necrostack/internal/testenv/launch"
)

// slots are the hash slots of a Redis Cluster.
const slots = 16384

// A Cluster is a Redis Cluster of three nodes without replicas. What is done to one of its nodes is as with any
// OwnServer: a node that was killed and started again takes its place again. It is not safe for concurrent use.
type Cluster struct {
	Nodes []*OwnServer

	ids     []string        // of the nodes
	clients []*redis.Client // of one node each
}

// RedisCluster starts a Redis Cluster for this test alone, which is removed when it ends. Settings are as those of
// OwnRedis; a node counts as failed after three seconds, and then all others refuse to serve, unless the settings have
// "cluster-require-full-coverage no".
func RedisCluster(tb testing.TB, settings ...string) *Cluster {
	tb.Helper()
	c, password := &Cluster{}, rand.Text()
	for range 3 {
		bus, err := launch.FreePort(tb.Context())
		if err != nil {
			tb.Fatalf("testenv: %v", err)
		}
		lines := append([]string{
			"cluster-enabled yes", "cluster-port " + bus, "cluster-announce-ip 127.0.0.1", "cluster-node-timeout 3000",
		}, settings...)
		node := own(tb, launch.RedisNode(password, lines...))
		c.Nodes, c.clients = append(c.Nodes, node), append(c.clients, RedisClient(tb, node.DSN()))
		c.Nodes[0].act(tb, func(ctx context.Context) error { return c.join(ctx, len(c.Nodes)-1, bus) })
	}
	c.Await(tb)
	return c
}

// join makes a node one of the cluster, with a third of the slots.
func (c *Cluster) join(ctx context.Context, i int, bus string) error {
	node := c.clients[i]
	id, err := node.Do(ctx, "CLUSTER", "MYID").Text()
	if err != nil {
		return err
	}
	c.ids = append(c.ids, id)
	if err := node.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err(); err != nil {
		return err
	}
	if err := node.ClusterAddSlotsRange(ctx, slots*i/3, slots*(i+1)/3-1).Err(); err != nil || i == 0 {
		return err
	}
	host, port, err := net.SplitHostPort(c.Nodes[i].Addr())
	if err != nil {
		return err
	}
	return c.clients[0].Do(ctx, "CLUSTER", "MEET", host, port, bus).Err()
}

// Await waits until every node knows all others and where all slots are, and serves.
func (c *Cluster) Await(tb testing.TB) {
	tb.Helper()
	until(tb, "the cluster is whole", func(ctx context.Context) error {
		for i, node := range c.clients {
			info, err := node.ClusterInfo(ctx).Result()
			if err != nil {
				return err
			}
			for _, want := range []string{"cluster_state:ok", "cluster_known_nodes:3", "cluster_slots_ok:16384", "cluster_size:3"} {
				if !strings.Contains(info, want+"\r\n") {
					return fmt.Errorf("of node %s there is no %s in %s", c.Nodes[i].Addr(), want, info)
				}
			}
		}
		return nil
	})
}

// DSN returns the address of all nodes, as redis.ParseClusterURL takes it: one is the host, the others are parameters
// "addr".
func (c *Cluster) DSN() string {
	u, err := url.Parse(c.Nodes[0].DSN())
	if err != nil {
		return "" // no server would have started with it
	}
	u.Path = ""
	query := url.Values{}
	for _, node := range c.Nodes[1:] {
		query.Add("addr", node.Addr())
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// Database returns a DSN of the cluster with the name of a log that no other test has.
func (c *Cluster) Database(tb testing.TB) string {
	tb.Helper()
	return namedLog(tb, c.DSN())
}

// Slot returns the slot of a key. All keys of a log are in that of "{name}".
func (c *Cluster) Slot(tb testing.TB, key string) (slot int) {
	tb.Helper()
	c.Nodes[0].act(tb, func(ctx context.Context) error {
		n, err := c.clients[0].ClusterKeySlot(ctx, key).Result()
		slot = int(n)
		return err
	})
	return slot
}

// Owner returns the number of the node that a slot belongs to, as a node that serves sees it.
func (c *Cluster) Owner(tb testing.TB, slot int) (node int) {
	tb.Helper()
	c.Nodes[0].act(tb, func(ctx context.Context) (err error) {
		node, err = c.owner(ctx, slot)
		return err
	})
	return node
}

func (c *Cluster) owner(ctx context.Context, slot int) (int, error) {
	var faults []error
	for _, client := range c.clients {
		shards, err := client.ClusterShards(ctx).Result()
		if err != nil {
			faults = append(faults, err)
			continue
		}
		for _, shard := range shards {
			has := func(r redis.SlotRange) bool { return r.Start <= int64(slot) && int64(slot) <= r.End }
			if slices.ContainsFunc(shard.Slots, has) && len(shard.Nodes) > 0 {
				return slices.Index(c.ids, shard.Nodes[0].ID), nil
			}
		}
	}
	return 0, errors.Join(append(faults, fmt.Errorf("slot %d belongs to no node", slot))...)
}
