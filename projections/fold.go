package projections

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/plaintype"
)

// Folds lists what changes a view's rows. Several may listen to one type of event; they run in their order.
type Folds[Row any] []Folder[Row]

// Folder changes rows for one type of event. It is made by On, OnKey, OnKeys, Delete and DeleteKey, or comes from Of.
type Folder[Row any] struct {
	typ   string
	keys  func(*eventstore.Event) ([]string, error)
	fold  func(*Row, *eventstore.Event) error // nil: the row is removed
	fault error
}

// On folds an event into the row whose key is the id of the event's stream. E may be eventstore.Recorded, to see the whole
// event. A row that is not there yet is the zero Row. Folds must be pure: the same events make the same row, and an event is
// not changed.
func On[Row any, E eventstore.Payload](fold func(row *Row, e E)) Folder[Row] {
	f := folding[Row](fold)
	f.keys = streamID
	return f
}

// OnKey is On for the row of a key, 1 … 255 bytes. What key is given is for it to look at only.
func OnKey[Row any, E eventstore.Payload](key func(e E) string, fold func(row *Row, e E)) Folder[Row] {
	f := folding[Row](fold)
	lender := new(eventstore.Lender[E])
	f.by(key == nil, func(ev *eventstore.Event) ([]string, error) {
		e, err := lender.Lend(ev)
		defer lender.Return(e)
		if err != nil {
			return nil, err
		}
		return []string{key(*e)}, nil
	})
	return f
}

// OnKeys is On for the rows of several keys, none of them twice. Without any, the event changes nothing.
func OnKeys[Row any, E eventstore.Payload](keys func(e E) []string, fold func(row *Row, e E)) Folder[Row] {
	f := folding[Row](fold)
	lender := new(eventstore.Lender[E])
	f.by(keys == nil, func(ev *eventstore.Event) ([]string, error) {
		e, err := lender.Lend(ev)
		defer lender.Return(e)
		if err != nil {
			return nil, err
		}
		return keys(*e), nil
	})
	return f
}

// Delete removes the row whose key is the id of the event's stream: Delete[Balance, Closed](). There need not be one, and a
// later event may make a new one.
func Delete[Row any, E eventstore.Payload]() Folder[Row] {
	name, fault := eventstore.TypeOf[E]()
	return Folder[Row]{typ: name, fault: fault, keys: streamID}
}

// DeleteKey removes the row of a key: DeleteKey[Balance](key).
func DeleteKey[Row any, E eventstore.Payload](key func(e E) string) Folder[Row] {
	f := OnKey(key, func(*Row, E) {})
	f.fold = nil
	return f
}

// Of takes the fold of an aggregate over: rows are its states, by the ids of their streams.
func Of[Row any](fold eventstore.Fold[Row]) Folds[Row] {
	fault := fold.Validate()
	types := fold.Types()
	all := make(Folds[Row], len(types))
	for i, typ := range types {
		all[i] = Folder[Row]{typ: typ, keys: streamID, fold: func(r *Row, ev *eventstore.Event) error { return fold.Apply(r, *ev) }}
	}
	if fault != nil {
		all = append(all, Folder[Row]{fault: fault})
	}
	return all
}

func streamID(ev *eventstore.Event) ([]string, error) { return []string{ev.Stream.ID()}, nil }

func folding[Row any, E eventstore.Payload](fold func(*Row, E)) Folder[Row] {
	name, fault := eventstore.TypeOf[E]()
	if fold == nil {
		fault = errors.Join(fault, fmt.Errorf("fold of %s is nil", name))
	}
	if !plaintype.Is(reflect.TypeFor[Row]()) { // it may keep what the event refers to
		return Folder[Row]{typ: name, fault: fault, fold: func(r *Row, ev *eventstore.Event) error {
			e, err := eventstore.Decode[E](*ev)
			if err == nil {
				fold(r, e)
			}
			return err
		}}
	}
	lender := new(eventstore.Lender[E])
	return Folder[Row]{typ: name, fault: fault, fold: func(r *Row, ev *eventstore.Event) error {
		e, err := lender.Lend(ev)
		defer lender.Return(e)
		if err == nil {
			fold(r, *e)
		}
		return err
	}}
}

// by sets where an event's keys come from.
func (f *Folder[Row]) by(missing bool, keys func(*eventstore.Event) ([]string, error)) {
	if f.keys = keys; missing {
		f.fault = errors.Join(f.fault, fmt.Errorf("key of %s is nil", f.typ))
	}
}
