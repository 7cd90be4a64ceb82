package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/redis/go-redis/v9"
)

const (
	redisEvents = 200_000 // of the log that is read
	rangeEach   = 1000    // entries of one XRANGE of the baseline
	ranges      = 8       // in one of its pipelines
)

func (s *redisServer) readFigures() []figure {
	return []figure{{
		name: "redis-read-all", unit: "x",
		what: "the whole log, 200,000 events, over pipelines of 8 XRANGE of 1,000 of the same entries each, nothing decoded",
		ours: s.reading(func(ctx context.Context, l *redisLog) (n int, err error) {
			for _, err := range l.store.Read(ctx, eventstore.All(), eventstore.Range{}) {
				if err != nil {
					return 0, err
				}
				n++
			}
			return n, nil
		}),
		theirs: s.reading(func(ctx context.Context, l *redisLog) (int, error) {
			return scanRedis(ctx, l.server.client, l.key("log"))
		}),
	}}
}

// reading measures reads of a log that is filled when it is needed first, and kept.
func (s *redisServer) reading(read func(context.Context, *redisLog) (int, error)) side {
	return func(ctx context.Context) (m measured, err error) {
		if s.read == nil {
			l, err := s.fresh(ctx)
			if err != nil {
				return m, err
			}
			s.read = l
			start := time.Now()
			if err := l.fill(ctx, redisEvents); err != nil {
				return m, fmt.Errorf("filling the log: %w", err)
			}
			fmt.Printf("# log read: filled in %.0f s, %s\n", time.Since(start).Seconds(), load())
		}
		return reading(func(int) (int, int, error) {
			got, err := read(ctx, s.read)
			return got, redisEvents, err
		})
	}
}

// scanRedis reads a stream by go-redis alone: its entries as the client returns them, which is quicker than as maps.
func scanRedis(ctx context.Context, client *redis.Client, stream string) (n int, err error) {
	for at := 1; ; {
		pipe := client.Pipeline()
		parts := make([]*redis.Cmd, ranges)
		for i := range parts {
			parts[i] = pipe.Do(ctx, "XRANGE", stream, at, at+rangeEach-1)
			at += rangeEach
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return n, err
		}
		for _, part := range parts {
			entries, err := part.Slice()
			if err != nil {
				return n, err
			}
			if n += len(entries); len(entries) < rangeEach {
				return n, nil
			}
		}
	}
}

// fill appends, in commits of 1,000 events: half of them to streams of 1,000, half to streams of 10, ten types in turn, one in
// five with two tags.
func (l *redisLog) fill(ctx context.Context, events int) error {
	const chunk = 1000
	e, err := eventstore.Encode(wide)
	if err != nil {
		return err
	}
	return together(4, func(g int) error {
		for from := g * chunk; from < events; from += 4 * chunk {
			name, each := "long", longEach
			if from >= events/2 {
				name, each = "short", shortEach
			}
			var c eventstore.Commit
			for n := from; n < min(from+chunk, events); n += each {
				a := eventstore.Append{Stream: eventstore.Stream(fmt.Sprintf("%s-%d", name, n/each))}
				for i := n; i < min(n+each, events); i++ {
					own := e
					if own.ID, err = uuid.NewV7(); err != nil {
						return err
					}
					own.Type = fmt.Sprint("order type ", i%10)
					if i%5 == 0 {
						own.Tags = []string{fmt.Sprint("course:", i%courses), fmt.Sprint("student:", i/7%students)}
					}
					a.Events = append(a.Events, own)
				}
				c.Appends = append(c.Appends, a)
			}
			if _, err := l.store.Commit(ctx, c); err != nil {
				return err
			}
		}
		return nil
	})
}
