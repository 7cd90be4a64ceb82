package sagas

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
)

// LiveError says that instances live of versions that the program does not define, so that nobody would go on with
// them: list these versions in Saga.Former.
type LiveError struct {
	Saga      string
	Instances map[int][]string // by version; the first of each
}

func (e *LiveError) Error() string {
	var all []string
	for _, v := range slices.Sorted(maps.Keys(e.Instances)) {
		all = append(all, fmt.Sprintf("version %d: %s", v, strings.Join(e.Instances[v], ", ")))
	}
	return fmt.Sprintf("saga %s: instances live of versions that it does not define, and that Former is to list: %s", e.Saga, strings.Join(all, "; "))
}

// listed is how many instances of a version a LiveError names.
const listed = 20

// checkVersions refuses to run while instances live whose definitions are not among those that are known. It asks the rows,
// and the log for what they do not show yet.
func (in Instances) checkVersions(ctx context.Context, known []int) error {
	shown, err := in.shown(ctx)
	if err != nil {
		return fmt.Errorf("saga %s: look for instances of other versions: %w", in.saga, err)
	}
	live, err := in.rowsOfOthers(ctx, known)
	if _, building := errors.AsType[*projections.BuildingError](err); building || errors.Is(err, eventstore.ErrNoRows) {
		live, shown, err = map[string]int{}, 0, nil
	}
	if err == nil {
		err = in.logOfOthers(ctx, shown, known, live)
	}
	if err != nil {
		return fmt.Errorf("saga %s: look for instances of other versions: %w", in.saga, err)
	}
	e := &LiveError{in.saga, map[int][]string{}}
	for _, id := range slices.Sorted(maps.Keys(live)) {
		if v := live[id]; len(e.Instances[v]) < listed {
			e.Instances[v] = append(e.Instances[v], id)
		}
	}
	if len(e.Instances) > 0 {
		return e
	}
	return nil
}

// shown is through which position the rows show what is in the log.
func (in Instances) shown(ctx context.Context) (eventstore.Position, error) {
	all, err := in.store.Consumers(ctx)
	if err != nil || !slices.ContainsFunc(all, func(c eventstore.Consumer) bool { return c.Name == in.consumer() }) {
		return 0, err
	}
	r, err := in.store.Roster(ctx, in.consumer())
	return r.Position(), err
}

// consumer is the name of that of the rows.
func (in Instances) consumer() string { return "saga_" + in.saga + "_v1" }

// rowsOfOthers finds the instances of other versions that the rows show as living.
func (in Instances) rowsOfOthers(ctx context.Context, known []int) (map[string]int, error) {
	live, rows := map[string]int{}, in.view().Rows(in.store)
	for version := 0; ; {
		next := 0
		page := projections.Page[stored]{Where: []projections.Filter{projections.More("version", version)}, OrderBy: "version", Limit: 1}
		for k, err := range rows.List(ctx, page) {
			if err != nil {
				return nil, err
			}
			next = k.Row.Version
		}
		if version = next; version == 0 {
			return live, nil
		}
		if slices.Contains(known, version) {
			continue
		}
		for _, s := range alive {
			page := projections.Page[stored]{Where: []projections.Filter{ // all: the rows may not show yet which have ended
				projections.Is("version", version), projections.Is("state", string(s)),
			}}
			for k, err := range rows.List(ctx, page) {
				if err != nil {
					return nil, err
				}
				live[k.Key] = version
			}
		}
	}
}

// logOfOthers adds the instances of other versions that began after a position, and removes those that have ended.
func (in Instances) logOfOthers(ctx context.Context, after eventstore.Position, known []int, live map[string]int) error {
	q := eventstore.InCategory(category(in.saga)).Only(Began{}.EventType(), Ended{}.EventType())
	for ev, err := range in.store.Read(ctx, q, eventstore.Range{After: after}) {
		if err != nil {
			return err
		}
		if ev.Type == (Ended{}).EventType() {
			delete(live, ev.Stream.ID())
			continue
		}
		began, err := eventstore.Decode[Began](ev)
		if err != nil {
			return err
		}
		if !slices.Contains(known, began.Version) {
			live[ev.Stream.ID()] = began.Version
		}
	}
	return nil
}
