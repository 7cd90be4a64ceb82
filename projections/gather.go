package projections

import (
	"context"
	"fmt"
	"reflect"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

// Bounds of what a lane of a view remembers.
const (
	mostDirty = 8192  // rows that have changed, before they are written
	mostKept  = 16384 // rows in all
)

// gatherer folds the events of one lane, and remembers its rows: nobody else changes them.
type gatherer[Row any] struct {
	*keeping[Row]

	rows  map[string]*remembered[Row]
	dirty []string // in the order in which they were first changed, so that rows are written in one order

	found []*remembered[Row] // for each event of a batch, the row of its first key
}

// remembered is a row that is remembered.
type remembered[Row any] struct {
	row    Row
	there  bool // else it is removed, or was never there
	stored bool // there was one when it was last read or written
	dirty  bool
}

func (k *keeping[Row]) gather() spine.Gatherer {
	return &gatherer[Row]{keeping: k, rows: map[string]*remembered[Row]{}}
}

// Add implements spine.Gatherer.
func (g *gatherer[Row]) Add(ctx context.Context, batch []spine.Input) (full bool, err error) {
	if err := g.remember(ctx, batch); err != nil {
		return false, err
	}
	for i := range batch {
		if err := g.foldOne(&batch[i], g.found[i]); err != nil {
			return false, fmt.Errorf("%v", err) //nolint:errorlint // some were folded: whatever it is, they must not be added again
		}
	}
	return len(g.dirty) >= mostDirty, nil
}

// remember reads the rows that events are about, but for those that it remembers.
func (g *gatherer[Row]) remember(ctx context.Context, batch []spine.Input) error {
	if len(g.rows) >= mostKept && len(g.dirty) == 0 {
		clear(g.rows)
	}
	var missing []string
	g.found = g.found[:0]
	for i := range batch {
		var first *remembered[Row]
		for n, key := range batch[i].Keys {
			k := g.rows[key]
			if k == nil {
				k = new(remembered[Row])
				g.rows[key] = k
				missing = append(missing, key)
			}
			if n == 0 {
				first = k
			}
		}
		g.found = append(g.found, first)
	}
	if len(missing) == 0 {
		return nil
	}
	rows, err := g.loadRows(ctx, missing)
	if err == nil {
		for _, r := range rows {
			k := g.rows[r.Key]
			if err = g.shape.row(r.Values, reflect.ValueOf(&k.row).Elem()); err != nil {
				break
			}
			k.there, k.stored = true, true
		}
	}
	if err != nil {
		for _, key := range missing { // or they would pass for rows that are not there
			delete(g.rows, key)
		}
		return fmt.Errorf("load rows of %s: %w", g.set.Table(), unavailable(err))
	}
	return nil
}

// foldOne folds an event into the rows that it is for. That of its first key is given.
func (g *gatherer[Row]) foldOne(in *spine.Input, first *remembered[Row]) error {
	return g.each(in, func(f *Folder[Row], key string) error {
		k := first
		if key != in.Keys[0] {
			k = g.rows[key]
		}
		if !k.dirty {
			k.dirty = true
			g.dirty = append(g.dirty, key)
		}
		if f.fold == nil {
			*k = remembered[Row]{stored: k.stored, dirty: true}
			return nil
		}
		k.there = true
		return f.fold(&k.row, in.Event)
	})
}

// Output implements spine.Gatherer.
func (g *gatherer[Row]) Output() (out spine.Output, err error) {
	rows := make([]eventstore.Row, 0, len(g.dirty))
	for _, key := range g.dirty {
		switch k := g.rows[key]; {
		case k.there:
			values, err := g.shape.values(reflect.ValueOf(&k.row).Elem())
			if err != nil {
				return out, fmt.Errorf("row %q: %w", key, err)
			}
			rows = append(rows, eventstore.Row{Key: key, Values: values})
		case k.stored:
			rows = append(rows, eventstore.Row{Key: key})
		}
	}
	if len(rows) > 0 {
		out.Into = g.keeper.WriteRows(g.set, rows)
	}
	out.Settled = func(_ eventstore.Result, err error) {
		if err != nil {
			return // all of this is forgotten
		}
		for _, key := range g.dirty {
			if k := g.rows[key]; k.there {
				k.dirty, k.stored = false, true
			} else {
				delete(g.rows, key)
			}
		}
		g.dirty = g.dirty[:0]
	}
	return out, nil
}
