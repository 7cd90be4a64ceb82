package memory

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/necrostack/necrostack/eventstore"
)

// table is a set of rows. Values are never changed in place.
type table struct {
	columns []eventstore.Column
	rows    map[string]eventstore.Row
}

// DefineRows implements eventstore.RowKeeper.
func (b *Backend) DefineRows(_ context.Context, set eventstore.RowSet) error {
	if err := set.Validate(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.tables[set.Table()]
	if t == nil {
		b.tables[set.Table()] = &table{columns: slices.Clone(set.Columns), rows: map[string]eventstore.Row{}}
		return nil
	}
	if diff := set.Difference(t.columns); len(diff) > 0 {
		return &eventstore.RowsChangedError{Set: set.Table(), Differences: diff}
	}
	return nil
}

// table finds a set of rows.
func (b *Backend) table(set eventstore.RowSet) (*table, error) {
	if t := b.tables[set.Table()]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("rows of %s: %w", set.Table(), eventstore.ErrNoRows)
}

// LoadRows implements eventstore.RowKeeper.
func (b *Backend) LoadRows(_ context.Context, set eventstore.RowSet, keys []string) (rows []eventstore.Row, err error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	t, err := b.table(set)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if r, ok := t.rows[k]; ok {
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// WriteRows implements eventstore.RowKeeper.
func (b *Backend) WriteRows(set eventstore.RowSet, rows []eventstore.Row) eventstore.Pending {
	return &pendingRows{b, set, rows}
}

type pendingRows struct {
	b    *Backend
	set  eventstore.RowSet
	rows []eventstore.Row
}

// Commit implements eventstore.Pending.
func (p *pendingRows) Commit(_ context.Context, c eventstore.Commit) (r eventstore.Result, err error) {
	defer p.b.wake.Fire()
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	t, err := p.b.table(p.set)
	if err != nil {
		return r, err
	}
	if r, err = p.b.commit(&c); err != nil {
		return r, err
	}
	for _, row := range p.rows {
		if row.Values == nil {
			delete(t.rows, row.Key)
		} else {
			t.rows[row.Key] = row
		}
	}
	return r, nil
}

// ListRows implements eventstore.RowKeeper.
func (b *Backend) ListRows(ctx context.Context, set eventstore.RowSet, q eventstore.RowQuery) iter.Seq2[eventstore.Row, error] {
	return func(yield func(eventstore.Row, error) bool) {
		rows, err := b.list(set, q)
		if err != nil {
			yield(eventstore.Row{}, err)
			return
		}
		for _, r := range rows {
			if err := ctx.Err(); err != nil {
				yield(eventstore.Row{}, err)
				return
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (b *Backend) list(set eventstore.RowSet, q eventstore.RowQuery) ([]eventstore.Row, error) {
	if err := set.Check(q); err != nil {
		return nil, err
	}
	all, err := b.meeting(set, q.Where)
	if err != nil {
		return nil, err
	}
	at, kind := -1, eventstore.Text
	if q.OrderBy != "" {
		if at, err = set.Find(q.OrderBy); err != nil {
			return nil, err
		}
		if at >= 0 {
			kind = set.Columns[at].Kind
		}
	}
	order := func(a, b eventstore.Row) (c int) {
		if at >= 0 {
			switch x, y := a.Values[at], b.Values[at]; {
			case x != nil && y != nil:
				c = kind.Compare(x, y)
			case x == nil && y != nil: // nil is greater than any value
				c = 1
			case x != nil:
				c = -1
			}
		}
		if c = cmp.Or(c, cmp.Compare(a.Key, b.Key)); q.Desc {
			return -c
		}
		return c
	}
	slices.SortFunc(all, order)
	if q.After != nil {
		place := eventstore.Row{Key: q.After.Key, Values: make([]any, len(set.Columns))}
		if at >= 0 {
			place.Values[at] = q.After.Value
		}
		n, found := slices.BinarySearchFunc(all, place, order)
		if found {
			n++
		}
		all = all[n:]
	}
	if q.Limit > 0 && len(all) > q.Limit {
		all = all[:q.Limit]
	}
	return all, nil
}

// meeting returns the rows that meet all of some conditions, in no order.
func (b *Backend) meeting(set eventstore.RowSet, where []eventstore.RowFilter) (rows []eventstore.Row, err error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	t, err := b.table(set)
	if err != nil {
		return nil, err
	}
	for r := range maps.Values(t.rows) {
		meets, err := set.Meets(r, where)
		if err != nil {
			return nil, err
		}
		if meets {
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// CountRows implements eventstore.RowKeeper.
func (b *Backend) CountRows(_ context.Context, set eventstore.RowSet, where []eventstore.RowFilter) (int64, error) {
	if err := set.Check(eventstore.RowQuery{Where: where}); err != nil {
		return 0, err
	}
	rows, err := b.meeting(set, where)
	return int64(len(rows)), err
}

// DropRows implements eventstore.RowKeeper.
func (b *Backend) DropRows(_ context.Context, set eventstore.RowSet) error {
	if err := set.Validate(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.tables, set.Table())
	return nil
}
