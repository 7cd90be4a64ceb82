// Package redis keeps a log in Redis, from version 7.0, with redis/go-redis.
//
// The log is a Redis Stream. A batch of commits is one script in Lua, which the server runs alone: it checks all of a commit
// before it writes any of it. All keys of a log begin with "{log}:", so that they are on one node of a cluster. What
// survives a crash is what the server's settings promise, which Open reads: see Config and docs/redis.md.
package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/signal"
	"github.com/redis/go-redis/v9"
)

// Config of a redis store. The zero value works.
type Config struct {
	Log            string        // what all keys of the log begin with, in braces. Defaults to "necrostack", or the DSN's log
	AcceptVolatile bool          // also a server that keeps nothing on its disk, or that evicts keys, will do
	WaitReplicas   int           // how many replicas have to have a batch before it is acknowledged. Defaults to none
	WaitTimeout    time.Duration // for how long they are waited for. Defaults to a second
	Logger         *slog.Logger  // hears of settings that endanger the log. Defaults to discarding
	Store          eventstore.Config
}

// Validate reports all faults at once.
func (cfg Config) Validate() error {
	errs := []error{cfg.Store.Validate()}
	if cfg.Log != "" {
		errs = append(errs, eventstore.CheckName("log", cfg.Log))
	}
	if strings.ContainsAny(cfg.Log, "{}") {
		errs = append(errs, &eventstore.InvalidError{Field: "log", Reason: fmt.Sprintf("%q has a brace, which keys of a cluster are routed by", cfg.Log)})
	}
	if cfg.WaitReplicas < 0 || cfg.WaitTimeout < 0 {
		errs = append(errs, &eventstore.InvalidError{Field: "redis config", Reason: "waits for a negative number of replicas, or time"})
	}
	return errors.Join(errs...)
}

func (cfg Config) withDefaults() Config {
	if cfg.Log == "" {
		cfg.Log = "necrostack"
	}
	if cfg.WaitTimeout == 0 {
		cfg.WaitTimeout = time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg
}

// Backend is a log in a Redis database: an eventstore.Backend with every optional interface. It is safe for concurrent
// use, by any number of processes.
type Backend struct {
	client redis.UniversalClient
	owned  bool // the client is ours to close
	cfg    Config

	clustered bool   // the server is a node of a cluster
	prefix    string // of all keys
	worker    string // this process in the groups of workers

	wake signal.Signal // something may have been committed
	news news

	errand    atomic.Pointer[errand] // the commit that is under way
	abandoned sync.WaitGroup         // commits that others may have given up

	seen   seen
	follow *follow // the log, if that is elsewhere

	mu    sync.Mutex
	swept map[string]time.Time // when the workers of a consumer were last looked through
}

var (
	_ eventstore.Backend     = (*Backend)(nil)
	_ eventstore.Prompt      = (*Backend)(nil)
	_ eventstore.Waker       = (*Backend)(nil)
	_ eventstore.Leaser      = (*Backend)(nil)
	_ eventstore.Controller  = (*Backend)(nil)
	_ eventstore.Scheduler   = (*Backend)(nil)
	_ eventstore.Parker      = (*Backend)(nil)
	_ eventstore.Deliverer   = (*Backend)(nil)
	_ eventstore.Snapshotter = (*Backend)(nil)
	_ eventstore.RowKeeper   = (*Backend)(nil)
)

// ErrVolatile refuses a server whose settings say that it will lose what it acknowledges, unless Config.AcceptVolatile.
var ErrVolatile = errors.New("the server would lose the log")

// Open connects by a DSN and opens the store. Close the store to disconnect. A server that is starting up, or is not there, is tried
// again for some seconds. Errors never hold the password.
//
// A DSN is one of go-redis, redis://user:password@host:port/db?setting=value, or rediss:// for TLS, and its settings are those of
// go-redis' options, such as read_timeout=5s. Beside them, log and accept_volatile are those of Config. With master_name, the host
// and each addr are Sentinels; with addr alone, nodes of a cluster.
func Open(ctx context.Context, dsn string, cfg Config) (*eventstore.Store, error) {
	b, err := dial(ctx, dsn, cfg, nil)
	if err != nil {
		return nil, err
	}
	return eventstore.New(b, cfg.Store), nil
}

// dial makes a backend by a DSN, of a log that is elsewhere unless that is nil.
func dial(ctx context.Context, dsn string, cfg Config, log *eventstore.Store) (*Backend, error) {
	client, s, err := connect(dsn)
	if err != nil {
		return nil, fmt.Errorf("open redis: %w", err)
	}
	if cfg.Log == "" {
		cfg.Log = s.log
	}
	cfg.AcceptVolatile = cfg.AcceptVolatile || s.acceptVolatile
	b, err := newBackend(ctx, client, cfg, log)
	if err != nil {
		_ = client.Close()
		return nil, err
	}
	b.owned = true
	return b, nil
}

// OpenClient is Open on the caller's client, which stays the caller's to close.
func OpenClient(ctx context.Context, client redis.UniversalClient, cfg Config) (*eventstore.Store, error) {
	b, err := New(ctx, client, cfg)
	if err != nil {
		return nil, err
	}
	return eventstore.New(b, cfg.Store), nil
}

// New makes a backend on a client, for tests that wrap it.
func New(ctx context.Context, client redis.UniversalClient, cfg Config) (*Backend, error) {
	return newBackend(ctx, client, cfg, nil)
}

func newBackend(ctx context.Context, client redis.UniversalClient, cfg Config, log *eventstore.Store) (*Backend, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("open redis: %w", err)
	}
	cfg = cfg.withDefaults()
	host, _ := os.Hostname()
	b := &Backend{
		client: client, cfg: cfg, prefix: "{" + cfg.Log + "}:",
		worker: fmt.Sprintf("%s-%d-%s", host, os.Getpid(), uuid.NewString()[:8]),
		swept:  map[string]time.Time{},
	}
	if log != nil {
		b.follow = newFollow(b, log)
	}
	b.seen.watch(client, &b.errand)
	if err := b.prepare(ctx); err != nil {
		return nil, fmt.Errorf("open redis: %w", err)
	}
	b.news.init(b)
	return b, nil
}

// Close implements eventstore.Backend.
func (b *Backend) Close() error {
	b.news.close()
	b.leaveGroups()
	defer b.abandoned.Wait()
	if !b.owned {
		return nil
	}
	if err := b.client.Close(); !errors.Is(err, redis.ErrClosed) { // as it is to be
		return err
	}
	return nil
}

// key is a key of the log.
func (b *Backend) key(name string) string { return b.prefix + name }
