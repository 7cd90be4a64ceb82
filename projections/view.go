package projections

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"
	"sync/atomic"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

// View keeps one Row for each key, folded from events. Row is a struct, each of whose exported fields is a column: see
// eventstore.Kind; what is neither of those is kept as JSON. A pointer may be null.
//
//	type Balance struct {
//		Owner string `view:"owner,index"`
//		Cents int64
//	}
//
// A row belongs to the partition of its key, whatever streams feed it, so its events come in the order of the log. An event
// whose fold fails is tried again and then parked as the Policy says, and whatever else changes the same row waits behind
// it; other rows go on.
type View[Row any] struct {
	Name    string               // of 1 … 40 letters, digits and underscores in lower case, with a letter in front
	Version int                  // to be raised with every change of Row or On: its rows are folded anew, beside the old. Defaults to 1
	On      Folds[Row]           // what changes a row
	In      eventstore.RowKeeper // who keeps the rows. Defaults to the log's own backend
	Policy  spine.Policy
	Batch   int // how many events go into one transaction at most. Defaults to 2,000
}

const defaultBatch = 2000

// version is Version, or its default.
func (v View[Row]) version() int {
	if v.Version == 0 {
		return 1
	}
	return v.Version
}

// set describes the view's rows.
func (v View[Row]) set() (eventstore.RowSet, *shape, error) {
	s, err := shapeOf(reflect.TypeFor[Row]())
	set := eventstore.RowSet{Name: v.Name, Version: v.version(), Columns: s.columns}
	if err != nil {
		return set, &s, err
	}
	return set, &s, set.Validate()
}

// Attach implements spine.Organ. The consumer is named by the view and its version: "balances_v1".
func (v View[Row]) Attach(st *eventstore.Store) (spine.Wiring, error) {
	set, s, err := v.set()
	w := spine.Wiring{Name: set.Table(), Policy: v.Policy, MaxBatch: v.Batch}
	errs := []error{err}
	if v.Batch == 0 {
		w.MaxBatch = defaultBatch
	}
	if v.Policy.Delivery == spine.Competing {
		errs = append(errs, errors.New("a view cannot be Competing: its rows are folded in order"))
	}
	var types []string
	for i := range v.On {
		f := &v.On[i]
		if f.typ == "" && f.fault == nil {
			f.fault = fmt.Errorf("fold %d is empty: make it with On", i+1)
		}
		if errs = append(errs, f.fault); f.typ != "" && !slices.Contains(types, f.typ) {
			types = append(types, f.typ)
		}
	}
	if len(types) > 0 {
		w.Listens = eventstore.OfType(types...)
	} else {
		errs = append(errs, errors.New("a view without folds: On is empty"))
	}
	k := &keeping[Row]{view: v, set: set, shape: s}
	if k.keeper, err = v.keeper(st); err != nil {
		errs = append(errs, err)
	}
	w.Key, w.HandleBatch = k.keys, k.handle
	return w, errors.Join(errs...)
}

// keeper is who keeps the rows.
func (v View[Row]) keeper(st *eventstore.Store) (eventstore.RowKeeper, error) {
	if v.In != nil {
		return v.In, nil
	}
	k, ok := st.Backend().(eventstore.RowKeeper)
	if !ok {
		return nil, fmt.Errorf("backend %T keeps no rows: View.In is to say who does", st.Backend())
	}
	return k, nil
}

// keeping is a view at work.
type keeping[Row any] struct {
	view    View[Row]
	set     eventstore.RowSet
	shape   *shape
	keeper  eventstore.RowKeeper
	defined atomic.Bool
}

// keys are the rows that an event is for.
func (k *keeping[Row]) keys(ev eventstore.Event) (keys []string, err error) {
	for i := range k.view.On {
		f := &k.view.On[i]
		if f.typ != ev.Type {
			continue
		}
		more, err := f.keys(ev)
		if err != nil {
			return nil, err
		}
		for _, key := range more {
			if !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	return keys, nil
}

// handle folds a batch: one read of the rows that it is about, and one write.
func (k *keeping[Row]) handle(ctx context.Context, batch []spine.Input) (out spine.Output, done int, err error) {
	if !k.defined.Load() {
		if err := k.keeper.DefineRows(ctx, k.set); err != nil {
			return out, 0, fmt.Errorf("define the rows of %s: %w", k.set.Table(), unavailable(err))
		}
		k.defined.Store(true)
	}
	kept, err := k.load(ctx, batch)
	if err != nil {
		return out, 0, err
	}
	rows, done, err := k.fold(kept, batch)
	if err != nil && done > 0 { // a fold that failed may have left a row half changed
		rows, _, _ = k.fold(kept, batch[:done])
	}
	if done == 0 {
		return out, 0, err
	}
	out.Into = k.keeper.WriteRows(k.set, rows)
	return out, done, err
}

// load reads the rows that events are about.
func (k *keeping[Row]) load(ctx context.Context, batch []spine.Input) (map[string][]any, error) {
	kept := make(map[string][]any, len(batch))
	var keys []string
	for i := range batch {
		for _, key := range batch[i].Keys {
			if _, known := kept[key]; !known {
				kept[key] = nil
				keys = append(keys, key)
			}
		}
	}
	rows, err := k.keeper.LoadRows(ctx, k.set, keys)
	if err != nil {
		return nil, fmt.Errorf("load rows of %s: %w", k.set.Table(), unavailable(err))
	}
	for _, r := range rows {
		kept[r.Key] = r.Values
	}
	return kept, nil
}

// unavailable says of an error that will pass that no event is to blame for it.
func unavailable(err error) error {
	if eventstore.IsRetryable(err) {
		return fmt.Errorf("%w: %w", eventstore.ErrUnavailable, err)
	}
	return err
}

// state is a row while it is folded.
type state[Row any] struct {
	row    Row
	there  bool  // else it is removed, or was never there
	values []any // of row
}

// fold folds events, and returns what became of the rows, and how many events that is of.
func (k *keeping[Row]) fold(kept map[string][]any, batch []spine.Input) (rows []eventstore.Row, done int, err error) {
	states := make(map[string]*state[Row], len(kept))
	var order []string // so that rows are written in one order
	for i := range batch {
		in := &batch[i]
		for n := range k.view.On {
			f := &k.view.On[n]
			if f.typ != in.Type {
				continue
			}
			keys, err := f.keys(*in.Event)
			if err != nil {
				return nil, start(batch, i), err
			}
			for _, key := range keys {
				if !slices.Contains(in.Keys, key) {
					continue // another partition's
				}
				s := states[key]
				if s == nil {
					if s, err = k.open(kept[key]); err != nil {
						return nil, start(batch, i), fmt.Errorf("row %q: %w", key, err)
					}
					states[key] = s
					order = append(order, key)
				}
				if err := k.apply(f, s, *in.Event); err != nil {
					return nil, start(batch, i), fmt.Errorf("row %q: %w", key, err)
				}
			}
		}
	}
	for _, key := range order {
		switch s := states[key]; {
		case s.there:
			rows = append(rows, eventstore.Row{Key: key, Values: s.values})
		case kept[key] != nil:
			rows = append(rows, eventstore.Row{Key: key})
		}
	}
	return rows, len(batch), nil
}

// start is where the parts of the event begin that input n is one of: they are written together.
func start(batch []spine.Input, n int) int {
	for n > 0 && batch[n-1].Position == batch[n].Position {
		n--
	}
	return n
}

func (k *keeping[Row]) open(values []any) (*state[Row], error) {
	s := &state[Row]{}
	if values == nil {
		return s, nil
	}
	s.there, s.values = true, values
	return s, k.shape.row(values, reflect.ValueOf(&s.row).Elem())
}

// apply folds one event into one row.
func (k *keeping[Row]) apply(f *Folder[Row], s *state[Row], ev eventstore.Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &spine.PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	if f.fold == nil {
		*s = state[Row]{}
		return nil
	}
	if err := f.fold(&s.row, ev); err != nil {
		return err
	}
	s.there = true
	s.values, err = k.shape.values(reflect.ValueOf(&s.row).Elem()) // what cannot be kept is this event's fault
	return err
}
