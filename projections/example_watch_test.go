package projections_test

import (
	"context"
	"fmt"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
	"github.com/necrostack/necrostack/spine"
)

func ExampleRows_Watch() {
	ctx, store := context.Background(), memory.Open(memory.Config{})
	sp, err := spine.New(store, spine.Config{}, balances)
	if err != nil {
		panic(err)
	}
	if _, err := store.Append(ctx, "account-ann", eventstore.Any, Deposited{500}); err != nil {
		panic(err)
	}
	if _, err := sp.Drain(ctx); err != nil {
		panic(err)
	}

	// Any process may watch. This one begins with all rows that ever changed, and leaves after the first.
	rows, last := balances.Rows(store), eventstore.Position(0)
	for change, err := range rows.Watch(ctx, projections.After(0)) {
		if err != nil {
			panic(err)
		}
		fmt.Println(change.Key, *change.Row)
		last = change.Resume
		break
	}
	if _, err := store.Append(ctx, "transfer-1", eventstore.Any, Transferred{"ann", "bob", 120}); err != nil {
		panic(err)
	}
	if _, err := sp.Drain(ctx); err != nil {
		panic(err)
	}
	for change, err := range rows.Watch(ctx, projections.After(last), projections.OfKeys("bob")) {
		if err != nil {
			panic(err)
		}
		fmt.Println(change.Key, *change.Row)
		break
	}

	// What is kept is what the events make.
	found, err := balances.Verify(ctx, store, projections.Verify{})
	fmt.Println(found.Compared, "rows compared,", found.Differing, "differ", err)
	// Output:
	// ann {500 1}
	// bob {120 1}
	// 2 rows compared, 0 differ <nil>
}
