package projections

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

// historyBatch is how many events are held at once to be folded.
const historyBatch = 256

// At returns the row of a key as it was at a point of the log, or ErrNoRow if there was none: AtPosition, AtTime, or the
// zero At, which is now. It does not look at the rows that are kept: it reads all events of the view's types up to there, so
// its time grows with the log, and folds those of the key by the view's own folds, as they are today.
//
// An event whose fold fails for the row is an error that names it. An event whose keys cannot be had changes no row, as in
// the view itself, which sets it aside.
func (v View[Row]) At(ctx context.Context, st *eventstore.Store, key string, at At) (row Row, err error) {
	values, err := v.history(ctx, st, key, at)
	if err == nil && values == nil {
		err = fmt.Errorf("%w by the key %q", ErrNoRow, key)
	}
	if err == nil {
		_, shape, _ := v.set()
		err = shape.row(values, reflect.ValueOf(&row).Elem())
	}
	if err != nil {
		return *new(Row), fmt.Errorf("view %s: %w", v.Name, err)
	}
	return row, nil
}

// history returns the values of a row; nil: there is none.
func (v View[Row]) history(ctx context.Context, st *eventstore.Store, key string, at At) ([]any, error) {
	if err := eventstore.CheckName("key", key); err != nil {
		return nil, err
	}
	if err := at.check(false); err != nil {
		return nil, err
	}
	w, err := v.Attach(st)
	if err != nil {
		return nil, err
	}
	end, err := at.end(ctx, st)
	if err != nil || end.before() {
		return nil, err
	}
	k, _ := v.keeping() // Attach has found no fault
	h := past[Row]{keeping: k, key: key}
	var through eventstore.Position
	for ev, err := range st.Read(ctx, w.Listens, eventstore.Range{UpTo: end.position, Through: &through}) {
		if err == nil {
			err = h.add(ev)
		}
		if err != nil {
			return nil, err
		}
	}
	err = errors.Join(end.reached(through), h.flush())
	return h.values, err
}

// past is one row of a view while its history is folded.
type past[Row any] struct {
	keeping[Row]

	key    string
	values []any // of the row; nil: there is none
	batch  []spine.Input
}

// add takes an event of the view's types.
func (h *past[Row]) add(ev eventstore.Event) error {
	if !slices.Contains(h.soundKeys(ev), h.key) {
		return nil
	}
	h.batch = append(h.batch, spine.Input{Event: &ev, Keys: []string{h.key}})
	if len(h.batch) < historyBatch {
		return nil
	}
	return h.flush()
}

// flush folds what was taken.
func (h *past[Row]) flush() error {
	rows, done, err := h.fold(map[string][]any{h.key: h.values}, h.batch)
	if err != nil {
		at := h.batch[done]
		return fmt.Errorf("%s at position %d: %w", at.Type, at.Position, err)
	}
	for _, r := range rows {
		h.values = r.Values
	}
	h.batch = h.batch[:0]
	return nil
}
