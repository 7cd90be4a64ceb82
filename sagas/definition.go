package sagas

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/lossless"
)

// definition is a Saga's steps as the engine sees them.
type definition[S any] struct {
	version  int
	deadline time.Duration
	nodes    []node[S]
	pivot    int // the node of it; -1 for none
	byID     map[string]place
}

// node is a part of the sequence.
type node[S any] struct {
	steps []Step[S] // none: a savepoint
	save  Retry
}

// place is where a step stands.
type place struct{ node, step int }

var (
	names   = regexp.MustCompile(`^[a-z][a-z0-9_]{0,34}$`)
	stepIDs = regexp.MustCompile(`^[A-Za-z0-9._-]{1,60}$`)
)

func checkSaga(name string) error {
	if !names.MatchString(name) {
		return &eventstore.InvalidError{Field: "name", Reason: fmt.Sprintf("%.80q is not 1 … 35 letters, digits and underscores in lower case, with a letter in front", name)}
	}
	return nil
}

// define compiles the saga, and reports all faults at once.
func (s Saga[S]) define() (*definition[S], error) {
	d := &definition[S]{version: max(s.Version, 1), deadline: s.Deadline, pivot: -1, byID: map[string]place{}}
	errs := []error{checkSaga(s.Name), checkState[S]()}
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if s.Version < 0 {
		fault("Version is %d", s.Version)
	}
	if s.Deadline < 0 {
		fault("Deadline is %s", s.Deadline)
	}
	for i, n := range s.Steps {
		switch n := n.(type) {
		case nil:
			fault("node %d is nil", i+1)
			continue
		case Pivot[S]:
			if d.pivot >= 0 {
				fault("pivot %q: there is one before it", n.ID)
			}
			d.pivot = len(d.nodes)
			if n.Undo.kind != "" {
				fault("pivot %q: has an Undo, but is the step after which nothing is undone", n.ID)
			}
		case Savepoint[S]:
			switch {
			case d.pivot >= 0:
				fault("savepoint %d: is behind the pivot, where nothing turns back", i+1)
			case i+1 == len(s.Steps):
				fault("savepoint %d: no step follows", i+1)
			case n.Retry.Attempts <= 0:
				fault("savepoint %d: Retry.Attempts is %d: it says how often the saga goes forward again", i+1, n.Retry.Attempts)
			}
			if err := n.Retry.Validate(); err != nil {
				fault("savepoint %d: Retry: %w", i+1, err)
			}
			d.nodes = append(d.nodes, node[S]{save: n.Retry})
			continue
		}
		steps := n.steps()
		if len(steps) == 0 {
			fault("node %d has no steps", i+1)
		}
		for k, st := range steps {
			at := fmt.Sprintf("step %q", st.ID)
			if !stepIDs.MatchString(st.ID) {
				fault("%s: ID is not 1 … 60 letters, digits, '.', '_' and '-'", at)
			}
			if _, twice := d.byID[st.ID]; twice {
				fault("%s: the ID is used twice", at)
			}
			d.byID[st.ID] = place{len(d.nodes), k}
			if d.pivot >= 0 && d.pivot < len(d.nodes) && st.Undo.kind != "" {
				fault("%s: has an Undo, but is behind the pivot, and never undone", at)
			}
			for _, err := range st.faults() {
				fault("%s: %w", at, err)
			}
		}
		d.nodes = append(d.nodes, node[S]{steps: slices.Clone(steps)})
	}
	if len(d.byID) == 0 {
		fault("there are no steps")
	}
	return d, errors.Join(errs...)
}

// faults are what is wrong with a step by itself.
func (st Step[S]) faults() (errs []error) {
	if st.Do.kind == "" {
		errs = append(errs, errors.New("it does nothing: Do is missing"))
	}
	within := func(field string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", field, err))
		}
	}
	within("Do", st.Do.fault)
	within("Undo", st.Undo.fault)
	within("Retry", st.Retry.Validate())
	within("UndoRetry", st.UndoRetry.Validate())
	if st.Timeout < 0 {
		errs = append(errs, fmt.Errorf("its Timeout is %s", st.Timeout))
	}
	seen, success := map[string]bool{}, false
	for i, o := range st.On {
		switch {
		case o.fault != nil:
			errs = append(errs, o.fault)
		case o.fold == nil:
			errs = append(errs, fmt.Errorf("outcome %d is empty: make it with Success or Refusal", i+1))
		case seen[o.typ]:
			errs = append(errs, fmt.Errorf("two outcomes %s", o.typ))
		}
		seen[o.typ] = true
		success = success || o.success
	}
	if len(st.On) > 0 && !success {
		errs = append(errs, errors.New("On lists no Success: nothing would settle it well"))
	}
	if st.Do.kind == nested && len(st.On) > 0 && !seen[Ended{}.EventType()] {
		errs = append(errs, fmt.Errorf("On does not list %s, which is how a nested saga is settled", Ended{}.EventType()))
	}
	if st.Do.kind == call && len(st.On) > 0 && !seen[st.Do.event] {
		errs = append(errs, fmt.Errorf("On does not list %s, which the call returns", st.Do.event))
	}
	return errs
}

// checkState refuses a state that JSON would change.
func checkState[S any]() error {
	if err := lossless.Faults[S](); err != nil {
		return fmt.Errorf("the state: %w", err)
	}
	return nil
}

// step finds a step by its id, nil if there is none.
func (d *definition[S]) step(id string) *Step[S] {
	p, ok := d.byID[id]
	if !ok {
		return nil
	}
	return &d.nodes[p.node].steps[p.step]
}

// past reports whether a step is the pivot, or behind it.
func (d *definition[S]) past(id string) bool { return d.pivot >= 0 && d.byID[id].node >= d.pivot }

// timeout is after which time an attempt's outcome is unknown; 0: never.
func (st *Step[S]) timeout(undo bool) time.Duration {
	a := st.action(undo)
	if st.Timeout == 0 && a.kind != nested {
		return 30 * time.Second
	}
	if undo && a.kind != nested && st.Do.kind == nested {
		return 30 * time.Second
	}
	return st.Timeout
}

func (st *Step[S]) action(undo bool) *Action[S] {
	if undo {
		return &st.Undo
	}
	return &st.Do
}

// outcome finds what settles the step by its type.
func (st *Step[S]) outcome(typ string) *Outcome[S] {
	i := slices.IndexFunc(st.On, func(o Outcome[S]) bool { return o.typ == typ })
	if i < 0 {
		return nil
	}
	return &st.On[i]
}

// exhausted reports whether that was the last attempt at a step.
func (d *definition[S]) exhausted(st *Step[S], undo bool, attempt int) bool {
	most := st.Retry.Attempts
	switch {
	case undo:
		if most = st.UndoRetry.Attempts; most == 0 {
			most = 10
		}
	case most == 0 && d.past(st.ID):
		most = -1
	case most == 0:
		most = 3
	}
	return most > 0 && attempt >= most
}
