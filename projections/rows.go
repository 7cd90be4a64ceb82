package projections

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"

	"github.com/necrostack/necrostack/eventstore"
)

// ErrNoRow is why Get has nothing to return: there is no row by that key.
var ErrNoRow = errors.New("no row")

// Rows returns the view's rows in a store, of any process that has the log. It does no I/O. The store need not be one that
// a Spine runs on.
func (v View[Row]) Rows(st *eventstore.Store) Rows[Row] {
	r := Rows[Row]{store: st}
	var shaped, kept error
	r.set, r.shape, shaped = v.set()
	r.keeper, kept = v.keeper(st)
	if r.fault = errors.Join(shaped, kept); r.fault != nil {
		r.fault = fmt.Errorf("view %s: %w", v.Name, r.fault)
	}
	return r
}

// Rows reads a view. It is safe for concurrent use.
type Rows[Row any] struct {
	store  *eventstore.Store
	keeper eventstore.RowKeeper
	set    eventstore.RowSet
	shape  *shape
	fault  error // of the view
}

// ReadOption changes how rows are read.
type ReadOption struct{ at eventstore.Position }

// AtLeast waits, as long as ctx allows, until the view has done the event at position p and all before it: with the position
// of a commit of one's own, one reads what one has written. See eventstore.Store.WaitFor for its errors, such as ErrParked.
func AtLeast(p eventstore.Position) ReadOption { return ReadOption{p} }

// await does what options say.
func (r Rows[Row]) await(ctx context.Context, options []ReadOption) error {
	if r.fault != nil {
		return r.fault
	}
	for _, o := range options {
		if err := r.store.WaitFor(ctx, r.set.Table(), o.at); err != nil {
			return err
		}
	}
	return nil
}

// explain names the view in an error.
func (r Rows[Row]) explain(err error) error {
	if errors.Is(err, eventstore.ErrNoRows) {
		return fmt.Errorf("view %s, version %d, has never run: %w", r.set.Name, r.set.Version, err)
	}
	return fmt.Errorf("view %s: %w", r.set.Name, err)
}

// Get returns the row of a key, or ErrNoRow.
func (r Rows[Row]) Get(ctx context.Context, key string, options ...ReadOption) (row Row, err error) {
	if err := eventstore.CheckName("key", key); err != nil {
		return row, r.explain(err)
	}
	if err := r.await(ctx, options); err != nil {
		return row, err
	}
	rows, err := r.keeper.LoadRows(ctx, r.set, []string{key})
	if err != nil {
		return row, r.explain(err)
	}
	if len(rows) == 0 {
		return row, fmt.Errorf("view %s: %w by the key %q", r.set.Name, ErrNoRow, key)
	}
	return r.decode(rows[0])
}

func (r Rows[Row]) decode(kept eventstore.Row) (row Row, err error) {
	if err := r.shape.row(kept.Values, reflect.ValueOf(&row).Elem()); err != nil {
		return row, fmt.Errorf("view %s: row %q: %w", r.set.Name, kept.Key, err)
	}
	return row, nil
}

// Keyed is a row with its key.
type Keyed[Row any] struct {
	Key string
	Row Row
}

// Filter compares an indexed column, or the key by the name of "key". It is made by Is, Less, AtMost, More and NoLess.
type Filter struct {
	column string
	op     eventstore.Op
	value  any
}

// Is selects rows whose column has a value; nil is null.
func Is(column string, value any) Filter { return Filter{column, eventstore.Eq, value} }

// Less selects rows whose column is less than a value.
func Less(column string, value any) Filter { return Filter{column, eventstore.Lt, value} }

// AtMost selects rows whose column is not greater than a value.
func AtMost(column string, value any) Filter { return Filter{column, eventstore.Le, value} }

// More selects rows whose column is greater than a value.
func More(column string, value any) Filter { return Filter{column, eventstore.Gt, value} }

// NoLess selects rows whose column is not less than a value.
func NoLess(column string, value any) Filter { return Filter{column, eventstore.Ge, value} }

// Page says which rows to list. The zero Page is all, in the order of their keys.
type Page[Row any] struct {
	Where   []Filter    // all of them are to be met
	OrderBy string      // an indexed column. Rows that are equal there are in the order of their keys; null is greater than any value
	Desc    bool        // the other way round
	After   *Keyed[Row] // the last row of the page before, as it was there
	Limit   int         // how many rows at most. 0: all
}

// List yields rows. A page goes on behind the place of the last row of the one before it, whatever has become of that.
func (r Rows[Row]) List(ctx context.Context, p Page[Row], options ...ReadOption) iter.Seq2[Keyed[Row], error] {
	return func(yield func(Keyed[Row], error) bool) {
		q, err := r.query(ctx, p, options)
		if err != nil {
			yield(Keyed[Row]{}, err)
			return
		}
		for kept, err := range r.keeper.ListRows(ctx, r.set, q) {
			if err != nil {
				yield(Keyed[Row]{}, r.explain(err))
				return
			}
			row, err := r.decode(kept)
			if !yield(Keyed[Row]{kept.Key, row}, err) || err != nil {
				return
			}
		}
	}
}

// Count counts the rows that meet all of some filters.
func (r Rows[Row]) Count(ctx context.Context, where []Filter, options ...ReadOption) (int64, error) {
	q, err := r.query(ctx, Page[Row]{Where: where}, options)
	if err != nil {
		return 0, err
	}
	n, err := r.keeper.CountRows(ctx, r.set, q.Where)
	if err != nil {
		return 0, r.explain(err)
	}
	return n, nil
}

// query checks a page and makes the backend's words of it.
func (r Rows[Row]) query(ctx context.Context, p Page[Row], options []ReadOption) (q eventstore.RowQuery, err error) {
	if r.fault != nil {
		return q, r.fault
	}
	q = eventstore.RowQuery{OrderBy: p.OrderBy, Desc: p.Desc, Limit: p.Limit}
	for _, f := range p.Where {
		value, err := plain(f.value)
		if err != nil {
			return q, fmt.Errorf("view %s: filter of column %s: %w", r.set.Name, f.column, err)
		}
		q.Where = append(q.Where, eventstore.RowFilter{Column: f.column, Op: f.op, Value: value})
	}
	if err := r.set.Check(q); err != nil {
		return q, r.explain(err)
	}
	if err := r.await(ctx, options); err != nil {
		return q, err
	}
	if p.After == nil {
		return q, nil
	}
	q.After = &eventstore.RowPlace{Key: p.After.Key}
	if at, err := r.set.Find(p.OrderBy); p.OrderBy != "" && err == nil && at >= 0 {
		values, err := r.shape.values(reflect.ValueOf(&p.After.Row).Elem())
		if err != nil {
			return q, r.explain(err)
		}
		q.After.Value = values[at]
	}
	return q, nil
}

// plain is a value as that of a column.
func plain(value any) (any, error) {
	if value == nil {
		return nil, nil //nolint:nilnil // null
	}
	v := reflect.ValueOf(value)
	f, err := fieldOf(v.Type())
	if err != nil {
		return nil, err
	}
	return f.value(v)
}
