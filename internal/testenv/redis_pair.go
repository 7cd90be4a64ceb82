package testenv

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/necrostack/necrostack/internal/testenv/launch"
)

// watched is the name by which the Sentinels of a Pair know its primary.
const watched = "pair"

// A Pair is a Redis server with a replica, and three Sentinels, two of which have the replica take over when they do not
// hear of the primary for three seconds. Primary and Replica stay what they were at first: after a failover, the Sentinels
// make the former primary a replica, some ten seconds after it is there again. It is not safe for concurrent use.
type Pair struct {
	Primary, Replica *OwnServer
	Sentinels        []*OwnServer

	password         string
	primary, replica *redis.Client
	sentinels        []*redis.SentinelClient
}

// RedisPair starts a Redis server with a replica and Sentinels for this test alone, which are removed when it ends.
// Settings, as those of OwnRedis, are for primary and replica.
func RedisPair(tb testing.TB, settings ...string) *Pair {
	tb.Helper()
	p := &Pair{password: rand.Text()}
	p.Primary = own(tb, launch.RedisNode(p.password, settings...))
	of := "replicaof " + strings.Replace(p.Primary.Addr(), ":", " ", 1)
	p.Replica = own(tb, launch.RedisNode(p.password, append([]string{of, "repl-diskless-sync-delay 0"}, settings...)...))
	p.primary, p.replica = RedisClient(tb, p.Primary.DSN()), RedisClient(tb, p.Replica.DSN())
	p.AwaitReplication(tb)
	for range 3 {
		sentinel := own(tb, launch.Sentinel(watched, p.Primary.Addr(), p.password, "2"))
		client := redis.NewSentinelClient(&redis.Options{Addr: sentinel.Addr()})
		tb.Cleanup(func() { client.Close() }) //nolint:errcheck // it is of no use any more
		p.Sentinels, p.sentinels = append(p.Sentinels, sentinel), append(p.sentinels, client)
	}
	p.awaitSentinels(tb)
	return p
}

// DSN returns the address of the Sentinels, as redis.ParseFailoverURL takes it: one is the host, the others are parameters
// "addr", and "master_name", "username" and "password" say what to ask them for.
func (p *Pair) DSN() string {
	query := url.Values{"master_name": {watched}, "username": {"default"}, "password": {p.password}}
	for _, sentinel := range p.Sentinels[1:] {
		query.Add("addr", sentinel.Addr())
	}
	dsn := url.URL{Scheme: "redis", Host: p.Sentinels[0].Addr(), Path: "/0", RawQuery: query.Encode()}
	return dsn.String()
}

// Database returns a DSN of the Sentinels with the name of a log that no other test has.
func (p *Pair) Database(tb testing.TB) string {
	tb.Helper()
	return namedLog(tb, p.DSN())
}

// CutReplication has the replica get nothing more of the primary, which it no longer has the password of, until
// ResumeReplication. Both serve their clients, and the Sentinels see both. A replica that was cut off for more than half
// a minute before the primary is gone is not made to take over.
func (p *Pair) CutReplication(tb testing.TB) {
	tb.Helper()
	p.Replica.act(tb, func(ctx context.Context) error {
		if err := p.replica.ConfigSet(ctx, "masterauth", "none").Err(); err != nil {
			return err
		}
		return p.replica.Do(ctx, "CLIENT", "KILL", "TYPE", "master").Err()
	})
	until(tb, "replication is cut", func(ctx context.Context) error {
		return says(ctx, p.replica, "master_link_status:down")
	})
}

// ResumeReplication ends what CutReplication has begun, and waits until the replica has all that the primary has.
func (p *Pair) ResumeReplication(tb testing.TB) {
	tb.Helper()
	p.Replica.act(tb, func(ctx context.Context) error { return p.replica.ConfigSet(ctx, "masterauth", p.password).Err() })
	p.AwaitReplication(tb)
}

// AwaitReplication waits until the replica has all that the primary has.
func (p *Pair) AwaitReplication(tb testing.TB) {
	tb.Helper()
	until(tb, "the replica follows", func(ctx context.Context) error {
		if err := says(ctx, p.replica, "master_link_status:up"); err != nil {
			return err
		}
		wrote, err := offset(ctx, p.primary, "master_repl_offset")
		if err != nil {
			return err
		}
		got, err := offset(ctx, p.replica, "slave_repl_offset")
		if err == nil && got != wrote {
			err = fmt.Errorf("the replica is at %s of %s", got, wrote)
		}
		return err
	})
}

// Promote has the Sentinels make the replica the primary, though there is one, and waits until they have. What the primary
// acknowledges meanwhile may be lost.
func (p *Pair) Promote(tb testing.TB) {
	tb.Helper()
	p.Sentinels[0].act(tb, func(ctx context.Context) error { return p.sentinels[0].Failover(ctx, watched).Err() })
	p.AwaitPromotion(tb)
}

// AwaitPromotion waits until all Sentinels send clients to the replica, and it is no replica any more: for instance,
// after the primary was killed.
func (p *Pair) AwaitPromotion(tb testing.TB) {
	tb.Helper()
	until(tb, "the replica takes over", func(ctx context.Context) error {
		for _, sentinel := range p.sentinels {
			at, err := sentinel.GetMasterAddrByName(ctx, watched).Result()
			if err != nil {
				return err
			}
			if addr := net.JoinHostPort(at[0], at[1]); addr != p.Replica.Addr() {
				return fmt.Errorf("the primary is at %s for a Sentinel", addr)
			}
		}
		return says(ctx, p.replica, "role:master")
	})
}

// AwaitDemotion waits until the former primary is a replica, after a promotion.
func (p *Pair) AwaitDemotion(tb testing.TB) {
	tb.Helper()
	until(tb, "the former primary follows", func(ctx context.Context) error {
		return errors.Join(says(ctx, p.primary, "role:slave"), says(ctx, p.primary, "master_link_status:up"))
	})
}

// awaitSentinels waits until the Sentinels know each other and the replica.
func (p *Pair) awaitSentinels(tb testing.TB) {
	tb.Helper()
	until(tb, "the Sentinels know each other", func(ctx context.Context) error {
		for _, sentinel := range p.sentinels {
			state, err := sentinel.Master(ctx, watched).Result()
			if err != nil {
				return err
			}
			if state["num-slaves"] != "1" || state["num-other-sentinels"] != "2" || state["flags"] != "master" {
				return fmt.Errorf("a Sentinel knows of %s replicas and %s Sentinels; the primary is %s",
					state["num-slaves"], state["num-other-sentinels"], state["flags"])
			}
		}
		return nil
	})
}

// says returns an error unless a server says something of its replication.
func says(ctx context.Context, client *redis.Client, what string) error {
	info, err := client.Info(ctx, "replication").Result()
	if err == nil && !strings.Contains(info, what+"\r\n") {
		err = fmt.Errorf("there is no %s in %s", what, info)
	}
	return err
}

// offset returns a number that a server says of its replication.
func offset(ctx context.Context, client *redis.Client, name string) (string, error) {
	info, err := client.Info(ctx, "replication").Result()
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(info, name+":")
	number, _, _ := strings.Cut(rest, "\r\n")
	return number, nil
}
