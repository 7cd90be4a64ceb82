package projections

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"
	"sync"

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
	Name    string     // of 1 … 40 letters, digits and underscores in lower case, with a letter in front
	Version int        // to be raised with every change of Row or On: its rows are folded anew, beside the old. Defaults to 1
	On      Folds[Row] // what changes a row
	Policy  spine.Policy
	Batch   int // how many events go into one transaction at most. Defaults to 2,000
	Rate    int // how many events a second it folds at most, in one process. Defaults to no bound
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
	k, err := v.keeping()
	w := spine.Wiring{Name: k.set.Table(), Policy: v.Policy, MaxBatch: v.Batch}
	errs := []error{err}
	if v.Batch == 0 {
		w.MaxBatch = defaultBatch
	}
	if v.Rate < 0 {
		errs = append(errs, fmt.Errorf("the rate is %d", v.Rate))
	}
	if v.Policy.Delivery == spine.Competing {
		errs = append(errs, errors.New("a view cannot be Competing: its rows are folded in order"))
	}
	w.Listens, err = v.listens()
	errs = append(errs, err)
	k.keeper, err = keeperOf(st)
	errs = append(errs, err)
	w.Key, w.HandleBatch, w.Gather, w.Begin, w.CaughtUp = k.keys, k.handle, k.gather, k.define, k.serve
	throttle(&w, v.Rate)
	return w, errors.Join(errs...)
}

// listens is what the view's folds are about.
func (v View[Row]) listens() (eventstore.Query, error) {
	var types []string
	var errs []error
	for i, f := range v.On {
		if f.typ == "" && f.fault == nil {
			f.fault = fmt.Errorf("fold %d is empty: make it with On", i+1)
		}
		if errs = append(errs, f.fault); f.typ != "" && !slices.Contains(types, f.typ) {
			types = append(types, f.typ)
		}
	}
	if len(types) == 0 {
		return eventstore.Query{}, errors.Join(append(errs, errors.New("a view without folds: On is empty"))...)
	}
	return eventstore.OfType(types...), errors.Join(errs...)
}

// keeperOf is who keeps rows beside a log.
func keeperOf(st *eventstore.Store) (eventstore.RowKeeper, error) {
	k, ok := st.Backend().(eventstore.RowKeeper)
	if !ok {
		return nil, fmt.Errorf("backend %T keeps no rows", st.Backend())
	}
	return k, nil
}

// keeping is a view at work.
type keeping[Row any] struct {
	set     eventstore.RowSet
	shape   *shape
	folders map[string][]*Folder[Row] // by type, in their order
	keeper  eventstore.RowKeeper      // nil: it only folds

	looked *sync.Pool // of *eventstore.Event: what keys are asked of
}

// keeping is the view at work, but for a keeper. An error is a fault of the row's type, or of a name.
func (v View[Row]) keeping() (k keeping[Row], err error) {
	k.set, k.shape, err = v.set()
	k.folders = map[string][]*Folder[Row]{}
	k.looked = &sync.Pool{New: func() any { return new(eventstore.Event) }}
	for i := range v.On {
		f := &v.On[i]
		k.folders[f.typ] = append(k.folders[f.typ], f)
	}
	return k, err
}

// define makes the rows ready.
func (k *keeping[Row]) define(ctx context.Context) error {
	err := k.keeper.DefineRows(ctx, k.set)
	if _, changed := errors.AsType[*eventstore.RowsChangedError](err); changed {
		return fmt.Errorf("%w; so the view needs a new Version", err)
	}
	if err != nil {
		return fmt.Errorf("define the rows: %w", unavailable(err))
	}
	return nil
}

// serve has this version serve once it has caught up, in place of an older one. If it did before, somebody has decided
// otherwise since.
func (k *keeping[Row]) serve(ctx context.Context) error {
	versions, err := k.keeper.RowVersions(ctx, k.set.Name)
	if err != nil {
		return err
	}
	newest := true
	for _, v := range versions {
		if v.Version == k.set.Version && v.Complete {
			return nil
		}
		newest = newest && (!v.Serves || v.Version <= k.set.Version)
	}
	if !newest {
		return nil
	}
	return k.keeper.ServeRows(ctx, k.set)
}

// keys are the rows that an event is for.
func (k *keeping[Row]) keys(of eventstore.Event) (keys []string, err error) {
	ev := k.looked.Get().(*eventstore.Event) //nolint:forcetypeassert // nothing else is put there
	defer k.looked.Put(ev)
	*ev = of
	for _, f := range k.folders[ev.Type] {
		more, err := f.keys(ev)
		switch {
		case err != nil:
			return nil, err
		case keys == nil && len(more) == 1:
			keys = more
			continue
		}
		for _, key := range more {
			if !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	return keys, nil
}

// soundKeys are the rows that an event changes, if it is folded at all: a view sets aside what has no keys, or a wrong one.
func (k *keeping[Row]) soundKeys(ev eventstore.Event) (sound []string) {
	defer func() {
		if recover() != nil {
			sound = nil
		}
	}()
	keys, err := k.keys(ev)
	unsound := func(key string) bool { return eventstore.CheckName("key", key) != nil }
	if err != nil || slices.ContainsFunc(keys, unsound) {
		return nil
	}
	return keys
}

// handle folds a batch: one read of the rows that it is about, and one write.
func (k *keeping[Row]) handle(ctx context.Context, batch []spine.Input) (out spine.Output, done int, err error) {
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
	rows, err := k.loadRows(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("load rows of %s: %w", k.set.Table(), unavailable(err))
	}
	for _, r := range rows {
		kept[r.Key] = r.Values
	}
	return kept, nil
}

// loadRows reads rows for a lane. If the whole set is gone, as when what is kept beside the log was lost, it begins anew, and no
// event is to blame.
func (k *keeping[Row]) loadRows(ctx context.Context, keys []string) ([]eventstore.Row, error) {
	rows, err := k.keeper.LoadRows(ctx, k.set, keys)
	if !errors.Is(err, eventstore.ErrNoRows) {
		return rows, err
	}
	if again := k.define(ctx); again != nil {
		return nil, again
	}
	return nil, fmt.Errorf("%w: they begin anew: %w", eventstore.ErrUnavailable, err)
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
		err := k.each(in, func(f *Folder[Row], key string) (err error) {
			s := states[key]
			if s == nil {
				if s, err = k.open(kept[key]); err != nil {
					return err
				}
				states[key] = s
				order = append(order, key)
			}
			return k.apply(f, s, in.Event)
		})
		if err != nil {
			return nil, start(batch, i), err
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

// each calls a function for each row that an event is to be folded into, and the folder, in the order of the folds.
func (k *keeping[Row]) each(in *spine.Input, fold func(f *Folder[Row], key string) error) error {
	folders := k.folders[in.Type]
	for _, f := range folders {
		keys := in.Keys
		if len(folders) > 1 { // each has keys of its own
			var err error
			if keys, err = f.keys(in.Event); err != nil {
				return err
			}
		}
		for _, key := range keys {
			if len(folders) > 1 && !slices.Contains(in.Keys, key) {
				continue // another partition's
			}
			if err := fold(f, key); err != nil {
				return fmt.Errorf("row %q: %w", key, err)
			}
		}
	}
	return nil
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
func (k *keeping[Row]) apply(f *Folder[Row], s *state[Row], ev *eventstore.Event) (err error) {
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
