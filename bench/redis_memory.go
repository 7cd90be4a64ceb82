package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

func (s *redisServer) memoryFigures() []figure {
	size := func(name string, events int, text string) figure {
		return figure{
			name: name, unit: "bytes", runs: 1, ours: s.with(func(ctx context.Context, l *redisLog) (measured, error) { return l.weigh(ctx, events) }),
			what: "the server's memory for each event of a log of " + text + ", with all that is kept beside the entry",
		}
	}
	return []figure{size("redis-memory-100k", 100_000, "100,000"), size("redis-memory-1m", 1_000_000, "a million")}
}

// kinds of keys, by how they begin behind the log's name.
var kinds = []struct{ prefix, what string }{
	{"log", "entries"}, {"i:", "ids of events"}, {"s:", "streams"}, {"t:", "types"}, {"c:", "categories"}, {"g:", "tags"}, {"", "all else"},
}

// weight is what the keys of one kind take.
type weight struct {
	keys, bytes int64
}

// weigh fills a log and prints what it takes, by kind of key. The figure is what the server's memory has grown by.
func (l *redisLog) weigh(ctx context.Context, events int) (m measured, err error) {
	before, err := l.server.used(ctx)
	if err != nil {
		return m, err
	}
	if err := l.fill(ctx, events); err != nil {
		return m, err
	}
	after, err := l.server.used(ctx)
	if err != nil {
		return m, err
	}
	raw, err := l.raw(ctx)
	if err != nil {
		return m, err
	}
	found, err := l.weights(ctx)
	if err != nil {
		return m, err
	}
	each := func(bytes int64) float64 { return float64(bytes) / float64(events) }
	fmt.Printf("# memory of %d events: %.0f bytes each of values in the entries\n", events, raw)
	for _, k := range slices.Sorted(maps.Keys(found)) {
		fmt.Printf("# memory of %d events: %.1f bytes each of %s, in %d keys\n", events, each(found[k].bytes), kinds[k].what, found[k].keys)
	}
	return measured{rate: each(after - before)}, nil
}

// used is the server's memory, without what its fragments waste.
func (s *redisServer) used(ctx context.Context) (int64, error) {
	info, err := s.info(ctx)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(info["used_memory"], 10, 64)
}

// raw is how many bytes the values of an entry have, in the mean of some at both ends.
func (l *redisLog) raw(ctx context.Context) (float64, error) {
	const some = 500
	first, err := l.server.client.XRangeN(ctx, l.key("log"), "-", "+", some).Result()
	if err != nil {
		return 0, err
	}
	last, err := l.server.client.XRevRangeN(ctx, l.key("log"), "+", "-", some).Result()
	if err != nil || len(first) == 0 {
		return 0, errors.Join(err, errors.New("the log is empty"))
	}
	bytes, all := 0, slices.Concat(first, last)
	for _, entry := range all {
		for _, value := range entry.Values {
			text, ok := value.(string)
			if !ok {
				return 0, fmt.Errorf("entry %s has a %T", entry.ID, value)
			}
			bytes += len(text)
		}
	}
	return float64(bytes) / float64(len(all)), nil
}

// weights asks for every key.
func (l *redisLog) weights(ctx context.Context) (map[int]weight, error) {
	found := map[int]weight{}
	var cursor uint64
	for {
		keys, next, err := l.server.client.Scan(ctx, cursor, l.key("*"), 1000).Result()
		if err != nil {
			return nil, err
		}
		sizes, err := l.server.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, key := range keys {
				p.MemoryUsage(ctx, key, 0)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		for i, key := range keys {
			size, ok := sizes[i].(*redis.IntCmd)
			if !ok {
				return nil, fmt.Errorf("the memory of a key came as %T", sizes[i])
			}
			kind := slices.IndexFunc(kinds, func(k struct{ prefix, what string }) bool { return strings.HasPrefix(key, l.key(k.prefix)) })
			w := found[kind]
			found[kind] = weight{w.keys + 1, w.bytes + size.Val()}
		}
		if cursor = next; cursor == 0 {
			return found, nil
		}
	}
}
