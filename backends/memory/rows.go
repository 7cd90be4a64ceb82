package memory

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// table is a set of rows. Values are never changed in place.
type table struct {
	set      eventstore.RowSet
	rows     map[string]eventstore.Row
	complete bool
}

// DefineRows implements eventstore.RowKeeper.
func (b *Backend) DefineRows(_ context.Context, set eventstore.RowSet) error {
	if err := set.Validate(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := b.tables[set.Table()]; t != nil {
		if diff := set.Difference(t.set.Columns); len(diff) > 0 {
			return &eventstore.RowsChangedError{Set: set.Table(), Differences: diff}
		}
		return nil
	}
	set.Columns = slices.Clone(set.Columns)
	b.tables[set.Table()] = &table{set: set, rows: map[string]eventstore.Row{}}
	if b.serving[set.Name] == 0 {
		b.serving[set.Name] = set.Version
	}
	if c := b.consumers[set.Table()]; c != nil {
		b.reset(c, 0)
	}
	return nil
}

// table finds a set of rows.
func (b *Backend) table(set eventstore.RowSet) (*table, error) {
	if set.Version == 0 {
		set.Version = b.serving[set.Name]
	}
	if t := b.tables[set.Table()]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("rows of %s: %w", set.Table(), eventstore.ErrNoRows)
}

// view returns a set of rows as one that has just the columns of another set.
func (b *Backend) view(set eventstore.RowSet) (func(eventstore.Row) eventstore.Row, *table, error) {
	t, err := b.table(set)
	if err != nil {
		return nil, nil, err
	}
	if lacks := set.Lacks(t.set.Columns); len(lacks) > 0 {
		return nil, nil, &eventstore.RowsChangedError{Set: t.set.Table(), Differences: lacks}
	}
	if set.Version == t.set.Version {
		return func(r eventstore.Row) eventstore.Row { return r }, t, nil
	}
	from := make([]int, len(set.Columns))
	for i, c := range set.Columns {
		from[i] = slices.IndexFunc(t.set.Columns, func(k eventstore.Column) bool { return k.Name == c.Name })
	}
	return func(r eventstore.Row) eventstore.Row {
		values := make([]any, len(from))
		for i, at := range from {
			values[i] = r.Values[at]
		}
		return eventstore.Row{Key: r.Key, Values: values}
	}, t, nil
}

// ServeRows implements eventstore.RowKeeper.
func (b *Backend) ServeRows(_ context.Context, set eventstore.RowSet) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.tables[set.Table()]
	if t == nil || set.Version == 0 {
		return fmt.Errorf("rows of %s: %w", set.Table(), eventstore.ErrNoRows)
	}
	if c := b.consumers[set.Table()]; c != nil && slices.ContainsFunc(c.lanes, func(l lane) bool { return l.Position < c.history }) {
		return incomplete(set)
	}
	t.complete, b.serving[set.Name] = true, set.Version
	return nil
}

func incomplete(set eventstore.RowSet) error {
	return &eventstore.InvalidError{Field: "version", Reason: fmt.Sprintf("%d of view %s is still being folded", set.Version, set.Name)}
}

// RowVersions implements eventstore.RowKeeper.
func (b *Backend) RowVersions(_ context.Context, view string) (all []eventstore.RowVersion, err error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, t := range b.tables {
		if t.set.Name == view {
			all = append(all, eventstore.RowVersion{Version: t.set.Version, Serves: b.serving[view] == t.set.Version, Complete: t.complete})
		}
	}
	slices.SortFunc(all, func(x, y eventstore.RowVersion) int { return x.Version - y.Version })
	return all, nil
}

// DropRows implements eventstore.RowKeeper.
func (b *Backend) DropRows(_ context.Context, set eventstore.RowSet) error {
	if err := set.Validate(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	name := set.Table()
	if b.serving[set.Name] == set.Version {
		return fmt.Errorf("rows of %s: %w: they serve", name, eventstore.ErrInUse)
	}
	if n := len(b.rosterOf(name).Members); n > 0 {
		return fmt.Errorf("rows of %s: %w: %d processes fold them", name, eventstore.ErrInUse, n)
	}
	delete(b.tables, name)
	delete(b.consumers, name)
	maps.DeleteFunc(b.parked, func(_ uuid.UUID, p eventstore.Parked) bool { return p.Consumer == name })
	return nil
}

// LoadRows implements eventstore.RowReader.
func (b *Backend) LoadRows(_ context.Context, set eventstore.RowSet, keys []string) (rows []eventstore.Row, err error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	as, t, err := b.view(set)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if r, ok := t.rows[k]; ok {
			rows = append(rows, as(r))
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

// Join implements eventstore.Joiner.
func (p *pendingRows) Join(other eventstore.Pending) (eventstore.Pending, bool) {
	o, ok := other.(*pendingRows)
	if !ok || o.b != p.b || o.set.Table() != p.set.Table() {
		return nil, false
	}
	return &pendingRows{p.b, p.set, slices.Concat(p.rows, o.rows)}, true
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

// ListRows implements eventstore.RowReader.
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
	as, t, err := b.view(set)
	if err != nil {
		return nil, err
	}
	for r := range maps.Values(t.rows) {
		r = as(r)
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

// CountRows implements eventstore.RowReader.
func (b *Backend) CountRows(_ context.Context, set eventstore.RowSet, where []eventstore.RowFilter) (int64, error) {
	if err := set.Check(eventstore.RowQuery{Where: where}); err != nil {
		return 0, err
	}
	rows, err := b.meeting(set, where)
	return int64(len(rows)), err
}
