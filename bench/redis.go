package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	redislog "github.com/necrostack/necrostack/backends/redis"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv/launch"
	"github.com/redis/go-redis/v9"
)

// redisSettings are those of a server that writes its file at once and flushes it each second, as Redis recommends. It does not
// rewrite the file by itself: no rewrite falls into a run.
var redisSettings = []string{"appendonly yes", "appendfsync everysec", "auto-aof-rewrite-percentage 0"}

// A redisServer is the Redis server that is measured on. It starts when the first figure needs it.
type redisServer struct {
	launched *launch.Server
	client   *redis.Client
	prefix   string // of the names of logs
	made     int    // logs
	read     *redisLog
}

func (s *redisServer) figures() []figure {
	return slices.Concat(s.appendFigures(), s.readFigures(), s.competingFigures(), s.memoryFigures())
}

// start starts the server, unless NECROSTACK_BENCH_REDIS names one, and prints what it is.
func (s *redisServer) start(ctx context.Context) error {
	if s.launched != nil {
		return nil
	}
	product := launch.Redis(redisSettings...)
	product.Variable = "NECROSTACK_BENCH_REDIS"
	launched, err := launchServer(ctx, product)
	if err != nil {
		return err
	}
	s.launched, s.prefix = launched, "bench_"+strings.ToLower(rand.Text())
	if s.client, err = s.connect(); err != nil {
		return err
	}
	return s.describe(ctx)
}

// connect makes a client with the settings that go-redis has by itself.
func (s *redisServer) connect() (*redis.Client, error) {
	options, err := launch.RedisOptions(s.launched.DSN)
	if err != nil {
		return nil, err
	}
	return redis.NewClient(options), nil
}

func (s *redisServer) close(ctx context.Context) error {
	if s.launched == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var faults []error
	if s.read != nil {
		faults = append(faults, s.read.drop(ctx))
	}
	if s.client != nil {
		faults = append(faults, s.client.Close())
	}
	return errors.Join(append(faults, s.launched.Close(ctx))...)
}

// describe prints what the figures depend on, and refuses a server that keeps the log in another way.
func (s *redisServer) describe(ctx context.Context) error {
	info, err := s.info(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("# server: Redis %s, %s, from %s\n", info["redis_version"], info["mem_allocator"], cmp.Or(string(s.launched.From), "the environment"))
	for _, want := range []struct{ name, value string }{
		{"appendonly", "yes"},
		{"appendfsync", "everysec"},
		{"auto-aof-rewrite-percentage", "0"},
		{name: "save"},
		{name: "io-threads"},
		{name: "maxmemory"},
		{name: "stream-node-max-entries"},
		{name: "stream-node-max-bytes"},
	} {
		settings, err := s.client.ConfigGet(ctx, want.name).Result()
		if err != nil {
			return err
		}
		value := settings[want.name]
		fmt.Printf("# server: %s = %s\n", want.name, value)
		if want.value != "" && value != want.value {
			return fmt.Errorf("the server has %s = %s: figures are of servers that have %s", want.name, value, want.value)
		}
	}
	fmt.Printf("# machine: %d CPUs, %s\n", runtime.NumCPU(), load())
	return nil
}

// info is what the server says of itself.
func (s *redisServer) info(ctx context.Context) (map[string]string, error) {
	text, err := s.client.Info(ctx).Result()
	if err != nil {
		return nil, err
	}
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info, nil
}

// name returns one that no other log has.
func (s *redisServer) name() string {
	s.made++
	return fmt.Sprintf("%s_%d", s.prefix, s.made)
}

// A redisLog is one of ours, through the public API, with the client that redis.Open makes; or only a name, for a baseline.
type redisLog struct {
	server *redisServer
	name   string
	store  *eventstore.Store
}

// fresh opens an empty log.
func (s *redisServer) fresh(ctx context.Context) (*redisLog, error) {
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	l := &redisLog{server: s, name: s.name()}
	var err error
	l.store, err = redislog.Open(ctx, s.launched.DSN, redislog.Config{Log: l.name})
	return l, err
}

// key is one of the log's.
func (l *redisLog) key(name string) string { return "{" + l.name + "}:" + name }

// drop removes the log.
func (l *redisLog) drop(ctx context.Context) (err error) {
	if l.store != nil {
		err = l.store.Close()
	}
	return errors.Join(err, l.server.launched.Product.Drop(ctx, l.server.launched.DSN, l.name))
}

// with measures on a fresh log, and removes it.
func (s *redisServer) with(measure func(context.Context, *redisLog) (measured, error)) side {
	return func(ctx context.Context) (_ measured, err error) {
		l, err := s.fresh(ctx)
		if err != nil {
			return measured{}, err
		}
		defer func() { err = errors.Join(err, l.drop(context.WithoutCancel(ctx))) }()
		return measure(ctx, l)
	}
}

// withPlain measures on keys that are not ours, by a client of the baseline's own, and removes them.
func (s *redisServer) withPlain(measure func(context.Context, *redisLog, *redis.Client) (measured, error)) side {
	return func(ctx context.Context) (_ measured, err error) {
		if err := s.start(ctx); err != nil {
			return measured{}, err
		}
		client, err := s.connect()
		if err != nil {
			return measured{}, err
		}
		defer func() { err = errors.Join(err, client.Close()) }()
		l := &redisLog{server: s, name: s.name()}
		defer func() { err = errors.Join(err, l.drop(context.WithoutCancel(ctx))) }()
		return measure(ctx, l, client)
	}
}

// count checks that a stream holds so many entries.
func (s *redisServer) count(ctx context.Context, stream string, want int) error {
	n, err := s.client.XLen(ctx, stream).Result()
	if err == nil && int(n) != want {
		err = fmt.Errorf("%s holds %d entries, not %d", stream, n, want)
	}
	return err
}
