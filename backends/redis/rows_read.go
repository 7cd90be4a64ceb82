package redis

import (
	"cmp"
	"context"
	"iter"
	"slices"

	"github.com/necrostack/necrostack/eventstore"
)

// LoadRows implements eventstore.RowReader.
func (b *Backend) LoadRows(ctx context.Context, set eventstore.RowSet, keys []string) ([]eventstore.Row, error) {
	args := []any{set.Name, set.Version}
	for _, k := range keys {
		args = append(args, k)
	}
	reply, err := b.run(ctx, loadRowsScript, args...)
	if err != nil {
		return nil, classify(err)
	}
	if len(reply) == 0 {
		return nil, noSuchRows(set)
	}
	var r reader
	l, err := layoutOf(set, r.text(reply[0]))
	if err != nil {
		return nil, err
	}
	var rows []eventstore.Row
	for i, text := range r.list(r.item(reply, 1)) {
		if text != nil {
			rows = append(rows, l.row(&r, keys[i], r.text(text)))
		}
	}
	return rows, r.err
}

// walked is how many rows one call returns.
const walked = 500

// ListRows implements eventstore.RowReader. Rows that are to be in the order of a column without an index, which only happens where an
// older version serves, are put into order here.
func (b *Backend) ListRows(ctx context.Context, set eventstore.RowSet, q eventstore.RowQuery) iter.Seq2[eventstore.Row, error] {
	return func(yield func(eventstore.Row, error) bool) {
		if err := set.Check(q); err != nil {
			yield(eventstore.Row{}, err)
			return
		}
		w, err := b.walkFor(set, q)
		if err != nil {
			yield(eventstore.Row{}, err)
			return
		}
		left := q.Limit
		for more := true; more; {
			var rows []eventstore.Row
			var ordered bool
			rows, more, ordered, err = w.page(ctx)
			if err == nil && !ordered {
				rows, err = b.sorted(ctx, set, q)
				more = false
			}
			if err != nil {
				yield(eventstore.Row{}, err)
				return
			}
			for _, row := range rows {
				meets, err := set.Meets(row, q.Where)
				if err != nil {
					yield(eventstore.Row{}, err)
					return
				}
				if !meets {
					continue
				}
				if !yield(row, nil) {
					return
				}
				if left--; left == 0 {
					return
				}
			}
		}
	}
}

// sorted reads all rows in the order of a query, from its place on.
func (b *Backend) sorted(ctx context.Context, set eventstore.RowSet, q eventstore.RowQuery) (rows []eventstore.Row, err error) {
	w := &walk{b: b, set: set}
	for more := true; more; {
		var page []eventstore.Row
		if page, more, _, err = w.page(ctx); err != nil {
			return nil, err
		}
		rows = append(rows, page...)
	}
	at, err := set.Find(cmp.Or(q.OrderBy, "key"))
	if err != nil {
		return nil, err
	}
	place := func(key string, v any) string {
		if at < 0 {
			return key
		}
		return orderOf(v) + key
	}
	of := func(r eventstore.Row) string {
		if at < 0 {
			return r.Key
		}
		return place(r.Key, r.Values[at])
	}
	slices.SortFunc(rows, func(x, y eventstore.Row) int {
		if q.Desc {
			x, y = y, x
		}
		return cmp.Compare(of(x), of(y))
	})
	if q.After != nil {
		from := place(q.After.Key, q.After.Value)
		rows = slices.DeleteFunc(rows, func(r eventstore.Row) bool {
			c := cmp.Compare(of(r), from)
			return c == 0 || c < 0 != q.Desc
		})
	}
	return rows, nil
}

// CountRows implements eventstore.RowReader. By one condition at most, it looks at no row.
func (b *Backend) CountRows(ctx context.Context, set eventstore.RowSet, where []eventstore.RowFilter) (n int64, err error) {
	q := eventstore.RowQuery{Where: where}
	if err := set.Check(q); err != nil {
		return 0, err
	}
	if len(where) <= 1 {
		if len(where) == 1 {
			q.OrderBy = where[0].Column
		}
		w, err := b.walkFor(set, q)
		if err != nil {
			return 0, err
		}
		if n, ordered, err := w.count(ctx); err != nil || ordered {
			return n, err
		}
		q.OrderBy = ""
	}
	for _, err := range b.ListRows(ctx, set, q) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// DumpRows implements eventstore.RowKeeper. The server does nothing else while it reads the set.
func (b *Backend) DumpRows(ctx context.Context, set eventstore.RowSet, keep func(key string) bool) (d eventstore.RowDump, err error) {
	if err := set.Validate(); err != nil {
		return d, err
	}
	reply, err := b.run(ctx, dumpRowsScript, set.Name, set.Version)
	if err != nil {
		return d, classify(err)
	}
	if len(reply) == 0 {
		return d, noSuchRows(set)
	}
	var r reader
	l, err := layoutOf(set, r.text(reply[0]))
	if err != nil {
		return d, err
	}
	rows := r.list(r.item(reply, 1))
	for i := 0; i+1 < len(rows); i += 2 {
		if key := r.text(rows[i]); keep(key) {
			d.Rows = append(d.Rows, l.row(&r, key, r.text(rows[i+1])))
		}
	}
	for _, p := range r.list(r.item(reply, 2)) {
		d.Partitions = append(d.Partitions, r.position(p))
	}
	d.Parked = map[string]eventstore.Position{}
	parked := r.list(r.item(reply, 3))
	for i := 0; i+1 < len(parked); i += 2 {
		key, p := r.text(parked[i]), r.position(parked[i+1])
		if first, known := d.Parked[key]; !known || p < first {
			d.Parked[key] = p
		}
	}
	return d, r.err
}
