package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/redis/go-redis/v9"
)

func (s *redisServer) appendFigures() []figure {
	return []figure{
		{
			name: "redis-append-1", unit: "x", ours: s.appending(1), theirs: s.adding(),
			what: "1 writer, 1 event a commit, over one XADD of the same fields, each a round trip",
		},
		{
			name: "redis-append-64", unit: "x", ours: s.appending(64), theirs: s.pipelining(64),
			what: "64 writers, 1 event a commit, over pipelines of 64 EVALSHA of the smallest script that keeps order and version",
		},
	}
}

// appending measures n writers, each to streams of its own, whose versions it knows and expects.
func (s *redisServer) appending(n int) side {
	return s.with(func(ctx context.Context, l *redisLog) (measured, error) {
		m, commits, err := appenders(l.store, "o1", n, 1).measure(ctx)
		if err != nil {
			return m, err
		}
		return m, s.count(ctx, l.key("log"), commits)
	})
}

// fields of an entry as ours has them; data is ready made.
func fields(stream string, version, n int, id uuid.UUID, data []byte) []any {
	return []any{
		"type", wide.EventType(), "stream", stream, "version", version, "first", n, "id", id.String(), "tags", "", "meta", "{}",
		"time", time.Now().UnixMicro(), "data", data,
	}
}

// adding measures single XADDs, one after the other. The server orders the entries, and checks nothing.
func (s *redisServer) adding() side {
	return s.withPlain(func(ctx context.Context, l *redisLog, client *redis.Client) (measured, error) {
		e, err := eventstore.Encode(wide)
		if err != nil {
			return measured{}, err
		}
		x := writers{n: 1, events: 1, write: func(ctx context.Context, w, k int) error {
			id, err := uuid.NewV7()
			if err != nil {
				return err
			}
			stream, version := place("o1", w, k)
			return client.XAdd(ctx, &redis.XAddArgs{Stream: l.key("log"), ID: "*", Values: fields(stream, version+1, k, id, e.Data)}).Err()
		}}
		m, commits, err := x.measure(ctx)
		if err != nil {
			return m, err
		}
		return m, s.count(ctx, l.key("log"), commits)
	})
}

// smallest keeps versions and positions without gaps, and nothing else: what is sent twice it writes twice, and it has no index.
var smallest = redis.NewScript(`#!lua
if redis.call('HINCRBY', KEYS[2], ARGV[2], 1) ~= ARGV[3] + 1 then
  redis.call('HINCRBY', KEYS[2], ARGV[2], -1)
  return 0
end
local p = redis.call('INCR', KEYS[3])
redis.call('XADD', KEYS[1], p .. '-0', 'type', ARGV[1], 'stream', ARGV[2], 'version', ARGV[3] + 1, 'id', ARGV[4], 'tags', '', 'meta', ARGV[5],
  'time', ARGV[6], 'data', ARGV[7])
return p`)

// pipelining measures pipelines of n scripts, one after the other on one connection: n writers whose commits somebody else
// has gathered already.
func (s *redisServer) pipelining(n int) side {
	return s.withPlain(func(ctx context.Context, l *redisLog, client *redis.Client) (measured, error) {
		e, err := eventstore.Encode(wide)
		if err != nil {
			return measured{}, err
		}
		if err := smallest.Load(ctx, client).Err(); err != nil {
			return measured{}, err
		}
		keys := []string{l.key("log"), l.key("versions"), l.key("head")}
		write := func(ctx context.Context, _, k int) error {
			pipe := client.Pipeline()
			for w := range n {
				id, err := uuid.NewV7()
				if err != nil {
					return err
				}
				stream, version := place("o1", w, k)
				smallest.EvalSha(ctx, pipe, keys, wide.EventType(), stream, version, id.String(), "{}", time.Now().UnixMicro(), []byte(e.Data))
			}
			replies, err := pipe.Exec(ctx)
			if err != nil {
				return err
			}
			for _, reply := range replies {
				if cmd, ok := reply.(*redis.Cmd); !ok || cmd.Val() == int64(0) {
					return fmt.Errorf("%v was refused", reply)
				}
			}
			return nil
		}
		m, commits, err := writers{n: 1, events: n, write: write}.measure(ctx)
		if err != nil {
			return m, err
		}
		if write(ctx, 0, 0) == nil {
			return m, errors.New("a version that has passed was not refused")
		}
		return m, s.count(ctx, l.key("log"), commits*n)
	})
}
