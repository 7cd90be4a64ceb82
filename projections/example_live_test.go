package projections_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
)

// Flow is what an auditor asks for, too rarely to keep rows of it.
type Flow struct{ In, Out int64 }

var flow = projections.Live[Flow]{
	Fold: eventstore.Fold[Flow]{
		eventstore.On(func(s *Flow, e Deposited) { s.In += e.Cents }),
		eventstore.On(func(s *Flow, e Transferred) { s.Out += e.Cents }),
	},
	Name: "flow", Snapshot: projections.Snapshot{Every: 1000, Version: 1}, // so that the log is not read from its beginning each time
}

func ExampleLive() {
	ctx, store := context.Background(), memory.Open(memory.Config{})
	opened, err := store.Append(ctx, "account-ann", eventstore.Any, Deposited{500}, Deposited{70})
	if err != nil {
		panic(err)
	}
	if _, err := store.Append(ctx, "transfer-1", eventstore.Any, Transferred{"ann", "bob", 120}); err != nil {
		panic(err)
	}

	s, err := flow.Query(ctx, store, eventstore.All())
	fmt.Println("all: ", s.Value, "through position", s.Position, err)
	s, err = flow.Query(ctx, store, eventstore.All(), projections.AtPosition(opened.Position))
	fmt.Println("then:", s.Value, err)
	s, err = flow.Stream(ctx, store, "account-ann", projections.AtVersion(1))
	fmt.Println("ann: ", s.Value, "at version", s.Version, err)

	// A row of a view, as it was.
	ann, err := balances.At(ctx, store, "ann", projections.AtPosition(opened.Position))
	fmt.Println("ann: ", ann, err)
	_, err = balances.At(ctx, store, "bob", projections.AtPosition(opened.Position))
	fmt.Println("bob: ", errors.Is(err, projections.ErrNoRow))
	// Output:
	// all:  {570 120} through position 3 <nil>
	// then: {570 0} <nil>
	// ann:  {500 0} at version 1 <nil>
	// ann:  {570 2} <nil>
	// bob:  true
}
