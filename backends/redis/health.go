package redis

import (
	"context"
	"fmt"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// Durability is what a server does so that a commit outlives a crash.
type Durability struct {
	AppendOnly  bool   // it writes what it does to a file
	AppendFsync string // when that is flushed: always, everysec or no. Empty: it does not tell
	LastWrite   string // how the last write to that file has gone: ok or err
	MaxMemory   int64  // in bytes; 0 is no bound
	Eviction    string // what is done at that bound: noeviction refuses to write
	Replicas    int    // that are connected
	Behind      int64  // bytes that the last of them has not acknowledged
}

// evicts reports whether keys are removed to make room.
func (d Durability) evicts() bool {
	return d.Eviction != "" && d.Eviction != "noeviction"
}

// Health is what can be seen of a log from here. It holds no secrets.
type Health struct {
	Reachable  bool          // the server has answered; if not, only Log and Pool are known
	Server     string        // host:port, or the path of a socket
	Version    string        // of the server, such as "7.4.1"
	Role       string        // master, or slave
	Latency    time.Duration // of one question and its answer
	Durability Durability
	Warnings   []string // what in these settings endangers the log; Open logs the same

	Log  string
	ID   string // of the log, made when it was begun
	Head eventstore.Position
	Pool Pool
}

// Pool counts the connections of the store's client.
type Pool struct {
	Open, Idle int
	Waited     int64 // how often somebody had to wait for one
	Timeouts   int64 // and how often in vain
}

// CheckHealth asks the server of a store that this package has opened. The error says what is wrong if anything is; what was
// seen until then is returned with it.
func CheckHealth(ctx context.Context, store *eventstore.Store) (h Health, err error) {
	b := of(store)
	if b == nil {
		return h, fmt.Errorf("check health: the store is on a %T, not on Redis", store.Backend())
	}
	h.Log = b.cfg.Log
	if p := b.client.PoolStats(); p != nil {
		h.Pool = Pool{Open: int(p.TotalConns), Idle: int(p.IdleConns), Waited: int64(p.WaitCount), Timeouts: int64(p.Timeouts)}
	}
	if err := b.examine(ctx, &h); err != nil {
		return h, fmt.Errorf("check health of log %q at %s: %w", h.Log, h.Server, classify(err))
	}
	return h, nil
}

// of returns the backend of a store that this package has opened, or nil.
func of(store *eventstore.Store) *Backend {
	switch b := store.Backend().(type) {
	case *Backend:
		return b
	case *beside:
		return b.b
	default:
		return nil
	}
}

// examine fills in what the server says.
func (b *Backend) examine(ctx context.Context, h *Health) error {
	s, err := b.inspect(ctx)
	h.Server = s.address
	if err != nil {
		return err
	}
	h.Reachable, h.Version, h.Role, h.Durability, h.Warnings = true, s.version, s.role, s.durability, b.warnings(s)
	begun := time.Now()
	p, err := b.pulse(ctx)
	if err != nil {
		return err
	}
	h.Latency, h.Head = time.Since(begun), p.Head
	h.ID, err = b.client.HGet(ctx, b.key("meta"), "id").Result()
	return err
}
