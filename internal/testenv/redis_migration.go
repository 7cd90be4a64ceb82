package testenv

import (
	"context"
	"fmt"
	"net"
	"testing"
)

// A Migration is a slot of a Cluster on its way from one node to another. Until it is finished, the former owner serves
// the keys that are still there, and sends its clients to the new one for the others (ASK); a command on keys of which only
// some are there has to be tried again (TRYAGAIN). After that, it sends them there for good (MOVED).
type Migration struct {
	cluster        *Cluster
	slot, from, to int
}

// Migrate begins to move a slot to the node of a number. No key moves yet.
func (c *Cluster) Migrate(tb testing.TB, slot, to int) *Migration {
	tb.Helper()
	m := &Migration{cluster: c, slot: slot, from: c.Owner(tb, slot), to: to}
	if m.from == to {
		tb.Fatalf("testenv: slot %d is on node %d already", slot, to)
	}
	m.set(tb, to, "IMPORTING", m.from)
	m.set(tb, m.from, "MIGRATING", to)
	return m
}

// Move moves up to n keys of the slot, and returns which.
func (m *Migration) Move(tb testing.TB, n int) (keys []string) {
	tb.Helper()
	m.cluster.Nodes[m.from].act(tb, func(ctx context.Context) (err error) {
		keys, err = m.cluster.clients[m.from].ClusterGetKeysInSlot(ctx, m.slot, n).Result()
		if err != nil || len(keys) == 0 {
			return err
		}
		return m.move(ctx, keys)
	})
	return keys
}

// MoveKeys moves keys of the slot.
func (m *Migration) MoveKeys(tb testing.TB, keys ...string) {
	tb.Helper()
	m.cluster.Nodes[m.from].act(tb, func(ctx context.Context) error { return m.move(ctx, keys) })
}

func (m *Migration) move(ctx context.Context, keys []string) error {
	target := m.cluster.Nodes[m.to].Addr()
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return err
	}
	password := m.cluster.clients[m.to].Options().Password
	args := []any{"MIGRATE", host, port, "", 0, acting.Milliseconds(), "AUTH", password, "KEYS"}
	for _, key := range keys {
		args = append(args, key)
	}
	said, err := m.cluster.clients[m.from].Do(ctx, args...).Text()
	if err == nil && said != "OK" {
		err = fmt.Errorf("moving %v to %s: %s", keys, target, said)
	}
	return err
}

// Finish moves what is left, and hands the slot over.
func (m *Migration) Finish(tb testing.TB) {
	tb.Helper()
	for moved := m.Move(tb, 100); len(moved) > 0; {
		moved = m.Move(tb, 100)
	}
	m.set(tb, m.to, "NODE", m.to)
	m.set(tb, m.from, "NODE", m.to)
	for i := range m.cluster.Nodes {
		if i != m.from && i != m.to {
			m.set(tb, i, "NODE", m.to)
		}
	}
}

// set tells a node what becomes of the slot.
func (m *Migration) set(tb testing.TB, node int, what string, other int) {
	tb.Helper()
	m.cluster.Nodes[node].act(tb, func(ctx context.Context) error {
		return m.cluster.clients[node].Do(ctx, "CLUSTER", "SETSLOT", m.slot, what, m.cluster.ids[other]).Err()
	})
}
