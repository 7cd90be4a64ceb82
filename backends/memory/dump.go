package memory

import (
	"context"

	"github.com/necrostack/necrostack/eventstore"
)

// DumpRows implements eventstore.RowKeeper.
func (b *Backend) DumpRows(_ context.Context, set eventstore.RowSet, keep func(key string) bool) (d eventstore.RowDump, err error) {
	if err := set.Validate(); err != nil {
		return d, err
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	_, t, err := b.view(set)
	if err != nil {
		return d, err
	}
	for key, r := range t.rows {
		if keep(key) {
			d.Rows = append(d.Rows, r)
		}
	}
	if c := b.consumers[set.Table()]; c != nil {
		for i := range c.lanes {
			d.Partitions = append(d.Partitions, c.lanes[i].Position)
		}
	}
	d.Parked = map[string]eventstore.Position{}
	for _, p := range b.parked {
		if first, known := d.Parked[p.Key]; p.Consumer == set.Table() && (!known || p.Position < first) {
			d.Parked[p.Key] = p.Position
		}
	}
	return d, nil
}
