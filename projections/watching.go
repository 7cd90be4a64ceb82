package projections

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/necrostack/necrostack/eventstore"
)

// step tells what one piece of the log has changed, or waits at its end.
func (w *watch[Row]) step(ctx context.Context, yield func(Change[Row], error) bool) error {
	c, err := w.read(ctx)
	if err != nil {
		return err
	}
	ended := c.through <= w.at
	if n := len(c.keys); n > 0 {
		w.done = max(w.done, c.last[c.keys[n-1]])
	}
	if len(c.keys) > 0 || ended && len(w.late) > 0 {
		if err := w.tell(ctx, c, yield); err != nil {
			return err
		}
	}
	if !ended {
		w.at = c.through
		return nil
	}
	w.pulse, err = w.rows.store.Wait(ctx, w.pulse)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// piece is what one read of the log has found.
type piece struct {
	through eventstore.Position
	last    map[string]eventstore.Position // by key, the last event
	keys    []string                       // in the order of those
}

// read reads what follows in the log.
func (w *watch[Row]) read(ctx context.Context) (c piece, err error) {
	var through, position, full eventstore.Position
	c.last = map[string]eventstore.Position{}
	r := eventstore.Range{After: w.at, Limit: watchEvents, Through: &through}
	for ev, err := range w.rows.store.Read(ctx, w.query, r) {
		if err != nil {
			return c, err
		}
		if len(c.last) >= watchKeys && ev.Position > position {
			full = position
			break
		}
		position = ev.Position
		for _, key := range w.work.soundKeys(ev) {
			if w.only == nil || w.only[key] {
				c.last[key] = ev.Position
			}
		}
	}
	if c.through = through; full > 0 {
		c.through = full
	}
	c.keys = byPosition(c.last)
	return c, nil
}

// tell yields the rows that a piece of the log has changed, once the view has done it, and before those whose parked events
// are parked no more.
func (w *watch[Row]) tell(ctx context.Context, c piece, yield func(Change[Row], error) bool) error {
	now, err := w.load(ctx, w.done, c.keys)
	if err != nil {
		return err
	}
	rows := make(map[string]eventstore.Row, len(now.rows))
	for _, r := range now.rows {
		rows[r.Key] = r
	}
	keys := slices.Concat(now.again, c.keys)
	for i, key := range keys {
		change := Change[Row]{Key: key, Position: now.stands, Resume: w.at}
		switch {
		case i == len(keys)-1:
			change.Resume = max(w.at, c.through)
		case i >= len(now.again):
			change.Resume = c.last[keys[i+1]] - 1
		}
		if kept, there := rows[key]; there {
			row, err := w.rows.decode(kept)
			if err != nil {
				return err
			}
			change.Row = &row
		}
		if !yield(change, nil) {
			return errEnough
		}
	}
	w.late = now.parked
	return nil
}

// loaded is what the version that is read holds.
type loaded struct {
	stands eventstore.Position // all that it has done
	parked map[string]entries  // what was parked, before the rows were read
	again  []string            // keys that had entries which they have no more
	rows   []eventstore.Row
}

// load reads the rows of keys from the version that is to be read, once that has done all through a position; and those of
// keys whose parked events may have been handled since the last time.
func (w *watch[Row]) load(ctx context.Context, p eventstore.Position, keys []string) (l loaded, err error) {
	st := w.rows.store
	err = w.rows.find(ctx, []ReadOption{{at: p, parked: true}}, func(set eventstore.RowSet) error {
		before, err := st.Roster(ctx, set.Table())
		if err != nil {
			return err
		}
		l.stands = before.Position()
		if l.parked, err = w.parked(ctx, set.Table()); err != nil {
			return err
		}
		l.again = w.again(l.parked, keys)
		if l.rows, err = w.rows.keeper.LoadRows(ctx, set, slices.Concat(l.again, keys)); err != nil {
			return err
		}
		after, err := st.Roster(ctx, set.Table())
		if err != nil {
			return err
		}
		if min(l.stands, after.Position()) < p || before.Redrives != after.Redrives {
			return errLook // the view was reset meanwhile: its rows may have been gone
		}
		return nil
	})
	return l, err
}

// parked returns what is parked for keys that are watched.
func (w *watch[Row]) parked(ctx context.Context, consumer string) (map[string]entries, error) {
	if _, ok := w.rows.store.Backend().(eventstore.Parker); !ok {
		return nil, nil //nolint:nilnil // nothing ever is
	}
	all := map[string]entries{}
	for p, err := range w.rows.store.Parked(ctx, eventstore.ParkedFilter{Consumer: consumer}) {
		if err != nil {
			return nil, err
		}
		if w.only == nil || w.only[p.Key] {
			e := all[p.Key]
			if e.count++; e.count == 1 || p.Position < e.first {
				e.first = p.Position
			}
			all[p.Key] = e
		}
	}
	return all, nil
}

// again returns keys, other than those of a piece, whose entries are not what they were: no more than can be held at once.
// Those that are left are not noted in parked, so that they come next.
func (w *watch[Row]) again(parked map[string]entries, keys []string) (again []string) {
	listed := make(map[string]bool, len(keys))
	for _, key := range keys {
		listed[key] = true
	}
	for key, was := range w.late {
		switch {
		case parked[key] == was || listed[key]:
		case len(again) < watchKeys:
			again = append(again, key)
		default:
			parked[key] = was
		}
	}
	return again
}

// byPosition returns keys in the order of their positions.
func byPosition(last map[string]eventstore.Position) []string {
	return slices.SortedFunc(maps.Keys(last), func(a, b string) int {
		return cmp.Or(cmp.Compare(last[a], last[b]), cmp.Compare(a, b))
	})
}
