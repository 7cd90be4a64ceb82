package eventstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Fold builds a state from events. Aggregates, decisions, sagas, views and reads through time all use it.
// Its functions must be pure: the same events make the same state.
type Fold[S any] []Folder[S]

// Folder is one case of a Fold, made by On.
type Folder[S any] struct {
	typ      string
	fold     func(*S, Event) error
	recorded bool // it takes Recorded
	fault    error
}

// On folds events of E's type into a state. E may be Recorded, to see the whole event.
func On[S any, E Payload](fold func(state *S, e E)) Folder[S] {
	name, fault := TypeOf[E]()
	if fold == nil && fault == nil {
		fault = fmt.Errorf("fold of %s is nil", name)
	}
	return Folder[S]{typ: name, fault: fault, recorded: isRecorded[E](), fold: func(s *S, ev Event) error {
		e, err := Decode[E](ev)
		if err == nil {
			fold(s, e)
		}
		return err
	}}
}

// Types lists the event types that the fold knows.
func (f Fold[S]) Types() []string {
	types := make([]string, len(f))
	for i := range f {
		types[i] = f[i].typ
	}
	return types
}

// SeesRecord reports whether a case takes Recorded, and so may use what only the log gives to an event.
func (f Fold[S]) SeesRecord() bool {
	return slices.ContainsFunc(f, func(c Folder[S]) bool { return c.recorded })
}

// Validate reports all faults at once: two cases for one type, and types that cannot be payloads.
func (f Fold[S]) Validate() error {
	var errs []error
	seen := map[string]bool{}
	for i := range f {
		switch {
		case f[i].fault != nil:
			errs = append(errs, f[i].fault)
		case f[i].fold == nil:
			errs = append(errs, fmt.Errorf("fold %d is empty: make it with On", i+1))
		case seen[f[i].typ]:
			errs = append(errs, fmt.Errorf("two folds for %s", f[i].typ))
		}
		seen[f[i].typ] = true
	}
	return errors.Join(errs...)
}

// Apply folds one event into the state. An event of a type that the fold does not know changes nothing and
// returns ErrUnknownType; whoever is not strict ignores that. Any other error is the payload's.
func (f Fold[S]) Apply(s *S, ev Event) error {
	for i := range f {
		if f[i].typ == ev.Type {
			return f[i].fold(s, ev)
		}
	}
	return ErrUnknownType // bare: it is common, and costs nothing
}

// Load folds a stream and returns its state and version. Types that the fold does not know are passed over.
func Load[S any](ctx context.Context, st *Store, stream Stream, f Fold[S]) (S, Version, error) {
	var state S
	var v Version
	for ev, err := range st.Read(ctx, InStream(stream), Range{}) {
		if err == nil {
			if err = f.Apply(&state, ev); errors.Is(err, ErrUnknownType) {
				err = nil
			}
		}
		if err != nil {
			return state, v, fmt.Errorf("load %s: %w", stream, err)
		}
		v = ev.Version
	}
	return state, v, nil
}
