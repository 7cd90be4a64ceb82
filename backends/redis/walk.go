package redis

import (
	"context"

	"github.com/necrostack/necrostack/eventstore"
)

// walk goes along an order of rows, in pages.
type walk struct {
	b        *Backend
	set      eventstore.RowSet
	column   string // whose order it is; "" for that of keys
	kind     eventstore.Kind
	value    *string // the one value of the column that is looked at; nil: it goes along all
	backward bool
	low      bound // the zero bound is none
	high     bound
}

// bound is where a walk begins or ends.
type bound struct {
	at   string
	set  bool
	open bool // it is not a part of it
}

func (b bound) text(none string) string {
	switch {
	case !b.set:
		return none
	case b.open:
		return "(" + b.at
	default:
		return "[" + b.at
	}
}

// atLeast narrows a walk from below, below from above.
func (w *walk) atLeast(at string, open bool) {
	if !w.low.set || at > w.low.at || at == w.low.at && open {
		w.low = bound{at, true, open}
	}
}

func (w *walk) below(at string) {
	if !w.high.set || at < w.high.at {
		w.high = bound{at, true, true}
	}
}

// walkFor finds the order that a query goes along: that of its column; or without one that of keys, for which it may as well go along the
// rows of one value of another column.
func (b *Backend) walkFor(set eventstore.RowSet, q eventstore.RowQuery) (*walk, error) {
	w := &walk{b: b, set: set, backward: q.Desc}
	at := -1
	var err error
	if q.OrderBy != "" {
		if at, err = set.Find(q.OrderBy); err != nil {
			return nil, err
		}
	}
	if at < 0 {
		for _, f := range q.Where {
			i, err := set.Find(f.Column)
			if err != nil {
				return nil, err
			}
			if f.Op == eventstore.Eq && i >= 0 && set.Columns[i].Index {
				order := orderOf(f.Value)
				at, w.value = i, &order
				break
			}
		}
	}
	if at >= 0 {
		w.column, w.kind = set.Columns[at].Name, set.Columns[at].Kind
	}
	for _, f := range q.Where {
		if i, err := set.Find(f.Column); err == nil && i == at {
			w.narrow(f)
		}
	}
	if q.After != nil {
		from := q.After.Key
		if w.value != nil {
			from = *w.value + from
		} else if at >= 0 {
			from = orderOf(q.After.Value) + from
		}
		w.beyond(from)
	}
	return w, nil
}

// beyond has the walk begin behind a place.
func (w *walk) beyond(place string) {
	if w.backward {
		w.below(place)
	} else {
		w.atLeast(place, true)
	}
}

// narrow keeps to what a condition of the walk's own column, or of the keys, selects.
func (w *walk) narrow(f eventstore.RowFilter) {
	first := orderOf(f.Value)
	past := successor(first)
	if key, ok := f.Value.(string); ok && w.column == "" {
		first, past = key, key+"\x00"
	}
	if w.column != "" && f.Value != nil { // nothing compares with null
		w.atLeast(someValue, false)
		w.below(noValue)
	}
	switch f.Op {
	case eventstore.Eq:
		w.atLeast(first, false)
		w.below(past)
	case eventstore.Lt:
		w.below(first)
	case eventstore.Le:
		w.below(past)
	case eventstore.Gt:
		w.atLeast(past, false)
	case eventstore.Ge:
		w.atLeast(first, false)
	}
}

// successor is the least text that is behind all that begin with one, which does not consist of the byte 255.
func successor(s string) string {
	b := []byte(s)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i]++; b[i] != 0 {
			return string(b[:i+1])
		}
	}
	return s
}

// call asks for a page, or only for how many there are. It reports false if the column has no index.
func (w *walk) call(ctx context.Context, limit any) (reply []any, ordered bool, err error) {
	kind := "key"
	if w.column != "" {
		kind = width(w.kind)
	}
	reply, err = w.b.run(ctx, walkRowsScript, w.set.Name, w.set.Version, w.column, w.backward, w.low.text("-"), w.high.text("+"), limit, kind)
	if err != nil {
		return nil, false, classify(err)
	}
	if len(reply) == 0 {
		return nil, false, noSuchRows(w.set)
	}
	return reply, len(reply) > 1, nil
}

// count counts the rows of the walk. It reports false if the column has no index.
func (w *walk) count(ctx context.Context) (n int64, ordered bool, err error) {
	reply, ordered, err := w.call(ctx, "")
	if err != nil {
		return 0, false, err
	}
	var r reader
	if _, err := layoutOf(w.set, r.text(reply[0])); err != nil {
		return 0, false, err
	}
	if ordered {
		n = r.int(reply[1])
	}
	return n, ordered, r.err
}

// page returns the next rows, and whether there may be more.
func (w *walk) page(ctx context.Context) (rows []eventstore.Row, more, ordered bool, err error) {
	reply, ordered, err := w.call(ctx, walked)
	if err != nil {
		return nil, false, false, err
	}
	var r reader
	l, err := layoutOf(w.set, r.text(reply[0]))
	if err != nil || !ordered {
		return nil, false, ordered, err
	}
	list := r.list(reply[1])
	for i := 0; i+1 < len(list); i += 2 {
		rows = append(rows, l.row(&r, r.text(list[i]), r.text(list[i+1])))
	}
	if n := len(rows); n > 0 && r.err == nil {
		last, order := rows[n-1], ""
		if w.column != "" {
			at, err := w.set.Find(w.column)
			if err != nil {
				return nil, false, false, err
			}
			order = orderOf(last.Values[at])
		}
		w.beyond(order + last.Key)
	}
	return rows, len(rows) == walked, true, r.err
}
