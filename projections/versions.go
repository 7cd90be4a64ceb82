package projections

import (
	"context"
	"errors"
	"fmt"

	"github.com/necrostack/necrostack/eventstore"
)

// A new version of a view is folded from the beginning of the log, beside the one that serves, which goes on as long as
// somebody runs it. When the new one has caught up it serves by itself, in one step for all readers. The old one stays, so
// that Serve can go back to it, until Drop.

// Versions returns the versions there are of a view, the lowest first, and which of them serves.
func Versions(ctx context.Context, st *eventstore.Store, view string) ([]eventstore.RowVersion, error) {
	k, err := keeperOfVersion(st, view, 1)
	if err == nil {
		var all []eventstore.RowVersion
		if all, err = k.RowVersions(ctx, view); err == nil {
			return all, nil
		}
	}
	return nil, fmt.Errorf("versions of view %s: %w", view, err)
}

// Serve has a version of a view serve as soon as it has done all that is in the log now, for which it waits as long as ctx
// allows. A version that nobody runs any more does nothing: start the program that does first.
func Serve(ctx context.Context, st *eventstore.Store, view string, version int) error {
	k, err := keeperOfVersion(st, view, version)
	set := eventstore.RowSet{Name: view, Version: version}
	var head eventstore.Position
	if err == nil {
		head, err = st.Head(ctx)
	}
	if err == nil {
		err = st.WaitFor(ctx, set.Table(), head)
	}
	if err == nil || errors.Is(err, eventstore.ErrParked) {
		err = k.ServeRows(ctx, set)
	}
	if err != nil {
		return fmt.Errorf("serve version %d of view %s: %w", version, view, err)
	}
	return nil
}

// Drop removes a version of a view, with its rows and its progress. There need not be one. It fails with
// eventstore.ErrInUse if it serves, or if some process runs it.
func Drop(ctx context.Context, st *eventstore.Store, view string, version int) error {
	k, err := keeperOfVersion(st, view, version)
	if err == nil {
		err = k.DropRows(ctx, eventstore.RowSet{Name: view, Version: version})
	}
	if err != nil {
		return fmt.Errorf("drop version %d of view %s: %w", version, view, err)
	}
	return nil
}

// keeperOfVersion is keeperOf, if names are in order.
func keeperOfVersion(st *eventstore.Store, view string, version int) (eventstore.RowKeeper, error) {
	if err := (eventstore.RowSet{Name: view, Version: version}).Validate(); err != nil {
		return nil, err
	}
	return keeperOf(st)
}
