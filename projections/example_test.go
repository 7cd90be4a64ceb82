package projections_test

import (
	"context"
	"fmt"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
	"github.com/necrostack/necrostack/spine"
)

type (
	Deposited   struct{ Cents int64 }
	Transferred struct {
		From, To string
		Cents    int64
	}
	Balance struct {
		Cents     int64 `view:",index"`
		Movements int
	}
)

func (Deposited) EventType() string   { return "deposited" }
func (Transferred) EventType() string { return "transferred" }

var balances = projections.View[Balance]{
	Name: "balances",
	On: projections.Folds[Balance]{
		projections.On(func(b *Balance, e Deposited) { b.Cents += e.Cents; b.Movements++ }),
		projections.OnKey(
			func(e Transferred) string { return e.From },
			func(b *Balance, e Transferred) { b.Cents -= e.Cents; b.Movements++ },
		),
		projections.OnKey(
			func(e Transferred) string { return e.To },
			func(b *Balance, e Transferred) { b.Cents += e.Cents; b.Movements++ },
		),
	},
}

func ExampleView() {
	ctx, store := context.Background(), memory.Open(memory.Config{})
	sp, err := spine.New(store, spine.Config{}, balances)
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- sp.Run(ctx) }()

	_, err = store.Append(ctx, "account-ann", eventstore.Any, Deposited{500})
	if err != nil {
		panic(err)
	}
	moved, err := store.Append(ctx, "transfer-1", eventstore.Any, Transferred{"ann", "bob", 120})
	if err != nil {
		panic(err)
	}
	if err := sp.WaitFor(ctx, "balances_v1", moved.Position); err != nil { // or read with projections.AtLeast
		panic(err)
	}
	richest := projections.Page[Balance]{OrderBy: "cents", Desc: true}
	for row, err := range balances.Rows(store).List(ctx, richest) {
		fmt.Println(row.Key, row.Row, err)
	}
	stop()
	fmt.Println(<-ended)
	// Output:
	// ann {380 2} <nil>
	// bob {120 1} <nil>
	// <nil>
}
