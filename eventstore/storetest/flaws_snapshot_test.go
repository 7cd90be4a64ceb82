package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

func snapshotFlaws() []flaw {
	return []flaw{
		{
			name:   "a backend whose snapshots go backwards",
			caught: "Snapshots/the newest version stays, whatever the order of saving",
			says:   "and the newest was",
			may:    []string{"Snapshots/of many who save at once the newest version stays"},
			wrap: func(b *memory.Backend) eventstore.Backend {
				return &lastSaved{Backend: b, saved: map[[2]string]eventstore.Snapshot{}}
			},
		},
		{
			name:   "a backend that looks for an older snapshot before it has its turn",
			caught: "Snapshots/of many who save at once the newest version stays",
			says:   "many saved versions up to 100",
			racy:   true,
			wrap: func(b *memory.Backend) eventstore.Backend {
				return &lastSaved{Backend: b, saved: map[[2]string]eventstore.Snapshot{}, looks: true}
			},
		},
		{
			name:   "a backend that keeps one snapshot of a stream",
			caught: "Snapshots/snapshots of other folds and streams are kept apart",
			says:   "saved was a",
			also:   []string{"Snapshots/what was never saved is the zero Snapshot"},
			wrap: func(b *memory.Backend) eventstore.Backend {
				return renaming{b, func(_ string, s eventstore.Stream) (string, eventstore.Stream) { return "", s }}
			},
		},
		{
			name:   "a backend that runs the names of a snapshot together",
			caught: "Snapshots/snapshots of other folds and streams are kept apart",
			says:   "saved was a",
			wrap: func(b *memory.Backend) eventstore.Backend {
				return renaming{b, func(fold string, s eventstore.Stream) (string, eventstore.Stream) {
					return fold + ":" + string(s), ""
				}}
			},
		},
		{
			name:   "a backend that does not mind the case of a fold",
			caught: "Snapshots/snapshots of other folds and streams are kept apart",
			says:   "saved was a",
			wrap: func(b *memory.Backend) eventstore.Backend {
				return renaming{b, func(fold string, s eventstore.Stream) (string, eventstore.Stream) {
					return strings.ToLower(fold), s
				}}
			},
		},
		{
			name:   "a backend that compacts the data of a snapshot",
			caught: "Snapshots/data come back byte for byte",
			says:   "came back as",
			also: []string{
				"Snapshots/changing a snapshot given or returned changes nothing stored",
				"Snapshots/of many who save at once the newest version stays",
				"Snapshots/the newest version stays, whatever the order of saving",
			},
			wrap: func(b *memory.Backend) eventstore.Backend { return compacting{b} },
		},
		{
			name:   "a backend that shares a snapshot with the caller",
			caught: "Snapshots/changing a snapshot given or returned changes nothing stored",
			says:   "a snapshot was changed where it was given",
			wrap: func(b *memory.Backend) eventstore.Backend {
				return &lastSaved{Backend: b, saved: map[[2]string]eventstore.Snapshot{}, newest: true, shares: true}
			},
		},
	}
}

// lastSaved keeps snapshots of its own, in a way that is wrong unless newest is all that is set.
type lastSaved struct {
	*memory.Backend
	newest, looks, shares bool

	mu    sync.Mutex
	saved map[[2]string]eventstore.Snapshot
}

func (l *lastSaved) Save(ctx context.Context, s eventstore.Snapshot) error {
	if !l.shares {
		s.Data = bytes.Clone(s.Data)
	}
	older, _ := l.Snapshot(ctx, s.Fold, s.Stream)
	if l.looks {
		time.Sleep(50 * time.Microsecond) // the time that another statement takes
	} else {
		l.mu.Lock()
		older = l.saved[[2]string{s.Fold, string(s.Stream)}]
		l.mu.Unlock()
	}
	if (l.newest || l.looks) && older.Version >= s.Version {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.saved[[2]string{s.Fold, string(s.Stream)}] = s
	return nil
}

func (l *lastSaved) Snapshot(_ context.Context, fold string, stream eventstore.Stream) (eventstore.Snapshot, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.saved[[2]string{fold, string(stream)}]
	if !l.shares {
		s.Data = bytes.Clone(s.Data)
	}
	return s, nil
}

// renaming keeps snapshots under other names.
type renaming struct {
	*memory.Backend
	rename func(fold string, stream eventstore.Stream) (string, eventstore.Stream)
}

func (r renaming) Save(ctx context.Context, s eventstore.Snapshot) error {
	s.Fold, s.Stream = r.rename(s.Fold, s.Stream)
	return r.Backend.Save(ctx, s)
}

func (r renaming) Snapshot(ctx context.Context, fold string, stream eventstore.Stream) (eventstore.Snapshot, error) {
	f, st := r.rename(fold, stream)
	s, err := r.Backend.Snapshot(ctx, f, st)
	if s.Version > 0 {
		s.Fold, s.Stream = fold, stream
	}
	return s, err
}

type compacting struct{ *memory.Backend }

func (c compacting) Save(ctx context.Context, s eventstore.Snapshot) error {
	var data bytes.Buffer
	if err := json.Compact(&data, s.Data); err != nil {
		return err
	}
	s.Data = data.Bytes()
	return c.Backend.Save(ctx, s)
}
