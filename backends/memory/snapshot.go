package memory

import (
	"context"
	"slices"

	"github.com/necrostack/necrostack/eventstore"
)

type snapshotKey struct {
	fold   string
	stream eventstore.Stream
}

// Save implements eventstore.Snapshotter.
func (b *Backend) Save(_ context.Context, s eventstore.Snapshot) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := snapshotKey{s.Fold, s.Stream}
	if b.snapshots[key].Version < s.Version {
		s.Data = slices.Clone(s.Data)
		b.snapshots[key] = s
	}
	return nil
}

// Snapshot implements eventstore.Snapshotter.
func (b *Backend) Snapshot(_ context.Context, fold string, stream eventstore.Stream) (eventstore.Snapshot, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	s := b.snapshots[snapshotKey{fold, stream}]
	s.Data = slices.Clone(s.Data)
	return s, nil
}
