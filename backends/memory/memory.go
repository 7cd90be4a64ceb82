// Package memory keeps a log in memory. It is the embedded default, and the reference for every other
// backend: it keeps all promises of package eventstore but durability, in the plainest way. Read commit.go
// first.
//
// Everything is lost when the process ends. An event costs its own size and some 300 bytes.
package memory

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/signal"
)

// Config of a memory store. The zero value works.
type Config struct {
	Store eventstore.Config
}

// Open makes an empty store. It holds nothing but memory; Close makes it refuse further use.
func Open(cfg Config) *eventstore.Store { return eventstore.New(New(), cfg.Store) }

// Backend is a log in memory: an eventstore.Backend with every optional interface. It is safe for
// concurrent use, also by several stores.
type Backend struct {
	wake signal.Signal

	mu         sync.RWMutex
	log        log
	ids        ids
	streams    map[eventstore.Stream]positions
	categories lists
	types      lists
	tags       lists
	consumers  map[string]*consumer
	members    map[string]member
	roster     int64
	timers     map[uuid.UUID]*timer // every schedule there ever was
	due        []*timer             // those to come, earliest first
	reserved   map[uuid.UUID]bool   // event ids of schedules that have not fired
	parked     map[uuid.UUID]eventstore.Parked
	windows    map[string][]*delivery // of each consumer, in order of position
	window     int64                  // of the pulse
	snapshots  map[snapshotKey]eventstore.Snapshot
	tables     map[string]*table // rows of views, by RowSet.Table
	serving    map[string]int    // which version of a view does
}

var (
	_ eventstore.Backend     = (*Backend)(nil)
	_ eventstore.Prompt      = (*Backend)(nil)
	_ eventstore.Waker       = (*Backend)(nil)
	_ eventstore.Leaser      = (*Backend)(nil)
	_ eventstore.Controller  = (*Backend)(nil)
	_ eventstore.Deliverer   = (*Backend)(nil)
	_ eventstore.Snapshotter = (*Backend)(nil)
	_ eventstore.Scheduler   = (*Backend)(nil)
	_ eventstore.Parker      = (*Backend)(nil)
	_ eventstore.RowKeeper   = (*Backend)(nil)
)

// New makes an empty backend, for tests that wrap it or share it between stores.
func New() *Backend {
	return &Backend{
		streams:    map[eventstore.Stream]positions{},
		categories: lists{},
		types:      lists{},
		tags:       lists{},
		consumers:  map[string]*consumer{},
		members:    map[string]member{},
		timers:     map[uuid.UUID]*timer{},
		reserved:   map[uuid.UUID]bool{},
		parked:     map[uuid.UUID]eventstore.Parked{},
		windows:    map[string][]*delivery{},
		snapshots:  map[snapshotKey]eventstore.Snapshot{},
		tables:     map[string]*table{},
		serving:    map[string]int{},
	}
}

// Close implements eventstore.Backend. The log stays readable by other stores that share the backend.
func (b *Backend) Close() error { return nil }

// Prompt implements eventstore.Prompt: nothing here takes long.
func (b *Backend) Prompt() {}

// Wait implements eventstore.Waker. It misses nothing.
func (b *Backend) Wait(ctx context.Context, seen eventstore.Pulse) (eventstore.Pulse, error) {
	for {
		woken := b.wake.Wait()
		b.mu.RLock()
		now := eventstore.Pulse{Head: b.log.head, Roster: b.roster, Window: b.window}
		b.mu.RUnlock()
		if now != seen {
			return now, nil
		}
		select {
		case <-woken:
		case <-ctx.Done():
			return now, nil
		}
	}
}

// now is the store's clock. It never runs behind the log's last event.
func (b *Backend) now() time.Time {
	now := time.Now().UTC().Truncate(time.Microsecond)
	if h := b.log.head; h > 0 && now.Before(b.log.at(h).Time) {
		return b.log.at(h).Time
	}
	return now
}

// log is a list of blocks, so that it grows without being copied. What was added is never changed: a reader
// may go on with a copy of the log while more is added.
type log struct {
	blocks []*[block]record
	head   eventstore.Position
}

const block = 128

// record is an event, and the first position of the commit that it came with.
type record struct {
	eventstore.Event
	first eventstore.Position
}

func (l *log) at(p eventstore.Position) *record { return &l.blocks[(p-1)/block][(p-1)%block] }

// add returns the event as it stands in the log, to be completed.
func (l *log) add(e *eventstore.Event, first eventstore.Position) *eventstore.Event {
	if l.head%block == 0 {
		l.blocks = append(l.blocks, new([block]record))
	}
	l.head++
	r := l.at(l.head)
	r.Event, r.first = *e, first
	return &r.Event
}
