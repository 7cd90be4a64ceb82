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
//
// What is read is the version that serves, whichever that is, if it has the columns that Row takes: so a version that is
// still being built is not read, and all processes switch to it at once. If it has not, it is this version, or a
// *BuildingError if that has never been complete.
func (v View[Row]) Rows(st *eventstore.Store) Rows[Row] {
	r := Rows[Row]{view: v, store: st}
	var shaped, kept error
	r.set, r.shape, shaped = v.set()
	r.keeper, kept = keeperOf(st)
	if r.fault = errors.Join(shaped, kept); r.fault != nil {
		r.fault = fmt.Errorf("view %s: %w", v.Name, r.fault)
	}
	return r
}

// Rows reads a view. It is safe for concurrent use.
type Rows[Row any] struct {
	view   View[Row]
	store  *eventstore.Store
	keeper eventstore.RowKeeper
	set    eventstore.RowSet
	shape  *shape
	fault  error // of the view
}

// BuildingError says that a version of a view cannot be read yet, and no other can be read in its place.
type BuildingError struct {
	View    string
	Version int
	Serving int   // the version that serves
	Err     error // why that cannot be read: an *eventstore.RowsChangedError
}

func (e *BuildingError) Error() string {
	return fmt.Sprintf("version %d of view %s is still being built, and version %d, which serves, is another: %v", e.Version, e.View, e.Serving, e.Err)
}

func (e *BuildingError) Unwrap() error { return e.Err }

// ReadOption changes how rows are read.
type ReadOption struct {
	at     eventstore.Position
	parked bool // it is no matter whether that event is
}

// AtLeast waits, as long as ctx allows, until the view has done the event at position p and all before it: with the position
// of a commit of one's own, one reads what one has written. See eventstore.Store.WaitFor for its errors, such as ErrParked.
func AtLeast(p eventstore.Position) ReadOption { return ReadOption{at: p} }

// from calls read for the version that is to be read.
func (r Rows[Row]) from(ctx context.Context, options []ReadOption, read func(set eventstore.RowSet) error) error {
	return r.explain(r.find(ctx, options, read))
}

// find is from, with errors as they are.
func (r Rows[Row]) find(ctx context.Context, options []ReadOption, read func(set eventstore.RowSet) error) error {
	if r.fault != nil {
		return r.fault
	}
	set := r.set
	if set.Version = 0; len(options) == 0 {
		if err := read(set); !isOther(err) {
			return err
		}
	}
	for before := 0; ; before = set.Version {
		serving, complete, err := r.versions(ctx)
		if err != nil {
			return err
		}
		set.Version = serving
		if err = r.once(ctx, set, serving, options, read); isOther(err) && serving != r.set.Version {
			if !complete {
				return &BuildingError{r.set.Name, r.set.Version, serving, err}
			}
			set.Version = r.set.Version
			err = r.once(ctx, set, serving, options, read)
		}
		if late := errors.Is(err, errLook); !late && (!isDropped(err) || set.Version == before) {
			return err
		}
	}
}

// versions says which version serves, and whether this one could.
func (r Rows[Row]) versions(ctx context.Context) (serving int, complete bool, err error) {
	versions, err := r.keeper.RowVersions(ctx, r.set.Name)
	for _, v := range versions {
		if v.Serves {
			serving = v.Version
		}
		complete = complete || v.Version == r.set.Version && v.Complete
	}
	if err == nil && serving == 0 {
		err = eventstore.ErrNoRows
	}
	return serving, complete, err
}

// errLook asks for another look at which version serves: the one that was waited for does not any more, so perhaps nobody
// runs it.
var errLook = errors.New("look again")

// once does what options say, and reads a version.
func (r Rows[Row]) once(ctx context.Context, set eventstore.RowSet, serving int, options []ReadOption, read func(set eventstore.RowSet) error) error {
	for _, o := range options {
		reached, err := r.store.WaitWhile(ctx, set.Table(), o.at, func(ctx context.Context) (bool, error) {
			now, _, err := r.versions(ctx)
			return now == serving, err
		})
		switch {
		case o.parked && errors.Is(err, eventstore.ErrParked): // it was passed
		case err != nil:
			return err
		case !reached:
			return errLook
		}
	}
	return read(set)
}

// isOther reports whether rows are not of the kind that was wanted.
func isOther(err error) bool {
	_, other := errors.AsType[*eventstore.RowsChangedError](err)
	return other
}

// isDropped reports whether a version, or its consumer, is not there.
func isDropped(err error) bool {
	invalid, ok := errors.AsType[*eventstore.InvalidError](err)
	return errors.Is(err, eventstore.ErrNoRows) || ok && invalid.Field == "consumer"
}

// explain names the view in an error.
func (r Rows[Row]) explain(err error) error {
	_, building := errors.AsType[*BuildingError](err)
	switch {
	case err == nil || building || errors.Is(err, r.fault):
		return err
	case errors.Is(err, eventstore.ErrNoRows):
		return fmt.Errorf("view %s, version %d, has never run: %w", r.set.Name, r.set.Version, err)
	default:
		return fmt.Errorf("view %s: %w", r.set.Name, err)
	}
}

// Get returns the row of a key, or ErrNoRow.
func (r Rows[Row]) Get(ctx context.Context, key string, options ...ReadOption) (row Row, err error) {
	if err := eventstore.CheckName("key", key); err != nil {
		return row, r.explain(err)
	}
	var rows []eventstore.Row
	err = r.from(ctx, options, func(set eventstore.RowSet) (err error) {
		rows, err = r.keeper.LoadRows(ctx, set, []string{key})
		return err
	})
	if err != nil {
		return row, err
	}
	if len(rows) == 0 {
		return row, fmt.Errorf("view %s: %w by the key %q", r.set.Name, ErrNoRow, key)
	}
	if row, err = r.decode(rows[0]); err != nil {
		return row, r.explain(err)
	}
	return row, nil
}

func (r Rows[Row]) decode(kept eventstore.Row) (row Row, err error) {
	if err := r.shape.row(kept.Values, reflect.ValueOf(&row).Elem()); err != nil {
		return row, fmt.Errorf("row %q: %w", kept.Key, err)
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
		q, at, err := r.query(p)
		more := err == nil
		if more {
			err = r.from(ctx, options, func(set eventstore.RowSet) error {
				for kept, err := range r.keeper.ListRows(ctx, set, q) {
					if err != nil {
						return err
					}
					var row Row
					if row, err = r.decode(kept); err != nil {
						return err
					}
					q.After = place(kept, at) // from where another version would go on
					if more = yield(Keyed[Row]{kept.Key, row}, nil); !more {
						return nil
					}
					if q.Limit--; q.Limit == 0 {
						return nil
					}
				}
				return nil
			})
		}
		if err != nil {
			yield(Keyed[Row]{}, err)
		}
	}
}

// place is where a row stands in the order of column at, or of its key if that is -1.
func place(r eventstore.Row, at int) *eventstore.RowPlace {
	p := &eventstore.RowPlace{Key: r.Key}
	if at >= 0 {
		p.Value = r.Values[at]
	}
	return p
}

// Count counts the rows that meet all of some filters.
func (r Rows[Row]) Count(ctx context.Context, where []Filter, options ...ReadOption) (n int64, err error) {
	q, _, err := r.query(Page[Row]{Where: where})
	if err != nil {
		return 0, err
	}
	err = r.from(ctx, options, func(set eventstore.RowSet) (err error) {
		n, err = r.keeper.CountRows(ctx, set, q.Where)
		return err
	})
	return n, err
}

// query checks a page and makes the backend's words of it. at is the column that it is ordered by, or -1.
func (r Rows[Row]) query(p Page[Row]) (q eventstore.RowQuery, at int, err error) {
	if r.fault != nil {
		return q, -1, r.fault
	}
	q = eventstore.RowQuery{OrderBy: p.OrderBy, Desc: p.Desc, Limit: p.Limit}
	for _, f := range p.Where {
		value, err := plain(f.value)
		if err != nil {
			return q, -1, fmt.Errorf("view %s: filter of column %s: %w", r.set.Name, f.column, err)
		}
		q.Where = append(q.Where, eventstore.RowFilter{Column: f.column, Op: f.op, Value: value})
	}
	if err := r.set.Check(q); err != nil {
		return q, -1, r.explain(err)
	}
	if at = -1; p.OrderBy != "" {
		at, _ = r.set.Find(p.OrderBy) // it was checked
	}
	if p.After == nil {
		return q, at, nil
	}
	last := eventstore.Row{Key: p.After.Key}
	if at >= 0 {
		if last.Values, err = r.shape.values(reflect.ValueOf(&p.After.Row).Elem()); err != nil {
			return q, at, r.explain(err)
		}
	}
	q.After = place(last, at)
	return q, at, nil
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
