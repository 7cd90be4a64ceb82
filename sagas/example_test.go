package sagas_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

type (
	PlaceOrder struct{ Order, Item string } // the command that begins the saga
	Reserve    struct{ Item, Order string }
	Release    struct{ Item, Order string }
	Ship       struct{ Order string }

	Reserved struct{ Shelf string }
	Released struct{ Order string }
	Paid     struct{ Receipt string }
	Shipped  struct{}

	Order struct{ ID, Item, Shelf, Receipt string } // what the saga remembers
)

func (PlaceOrder) CommandType() string { return "place order" }
func (Reserve) CommandType() string    { return "reserve" }
func (Release) CommandType() string    { return "release" }
func (Ship) CommandType() string       { return "ship" }

func (c PlaceOrder) StreamID() string { return c.Order }
func (c Reserve) StreamID() string    { return c.Item }
func (c Release) StreamID() string    { return c.Item }
func (c Ship) StreamID() string       { return c.Order }

func (Reserved) EventType() string { return "reserved" }
func (Released) EventType() string { return "released" }
func (Paid) EventType() string     { return "paid" }
func (Shipped) EventType() string  { return "shipped" }

// charge stands for a payment service. It gets a key, and takes money once for each, however often it is asked.
func charge(_ context.Context, o Order, _ uuid.UUID) (Paid, error) {
	if o.Item == "yacht" {
		return Paid{}, sagas.Refuse(errors.New("card declined"))
	}
	return Paid{Receipt: "receipt for " + o.ID}, nil
}

var orders = sagas.Saga[Order]{
	Name:  "order",
	Start: sagas.StartBy(func(c PlaceOrder) (Order, error) { return Order{ID: c.Order, Item: c.Item}, nil }),
	Steps: sagas.Sequence[Order]{
		sagas.Step[Order]{
			ID:   "reserve",
			Do:   sagas.Command(func(o Order) Reserve { return Reserve{o.Item, o.ID} }),
			Undo: sagas.Command(func(o Order) Release { return Release{o.Item, o.ID} }),
			On:   sagas.Outcomes[Order]{sagas.Success(func(o *Order, e Reserved) { o.Shelf = e.Shelf })},
		},
		sagas.Pivot[Order]{
			ID: "pay",
			Do: sagas.Call(charge),
			On: sagas.Outcomes[Order]{sagas.Success(func(o *Order, e Paid) { o.Receipt = e.Receipt })},
		},
		sagas.Step[Order]{ID: "ship", Do: sagas.Command(func(o Order) Ship { return Ship{o.ID} })},
	},
}

// participants decide the commands that the saga sends. They know nothing of it.
func participants() []spine.Organ {
	return []spine.Organ{
		organs.Aggregate[int]{Category: "stock", Decide: organs.Decide[int]{
			organs.Handle(func(int, Reserve) (organs.Events, error) { return organs.Events{Reserved{"A7"}}, nil }),
			organs.Handle(func(_ int, c Release) (organs.Events, error) { return organs.Events{Released{c.Order}}, nil }),
		}},
		organs.Aggregate[int]{Category: "parcel", Decide: organs.Decide[int]{
			organs.Handle(func(int, Ship) (organs.Events, error) { return organs.Events{Shipped{}}, nil }),
		}},
	}
}

func ExampleSaga() {
	ctx, store := context.Background(), memory.Open(memory.Config{})
	sp, err := spine.New(store, spine.Config{}, append(participants(), orders)...)
	if err != nil {
		panic(err)
	}
	for _, c := range []PlaceOrder{{"1", "book"}, {"2", "yacht"}} {
		if _, err := sp.Send(ctx, c); err != nil {
			panic(err)
		}
	}
	if _, err := sp.Drain(ctx); err != nil { // a service calls sp.Run
		panic(err)
	}
	for _, id := range []string{"1", "2"} {
		o, err := orders.Instances(store).Show(ctx, id)
		fmt.Println(o.Instance, o.State, o.Reason, string(o.Result), err)
		for _, e := range o.Entries {
			name := e.Step + string(e.To)
			if e.Undo {
				name = "undo " + name
			}
			fmt.Println("  ", e.What, name)
		}
	}
	// Output:
	// 1 completed  {"ID":"1","Item":"book","Shelf":"A7","Receipt":"receipt for 1"} <nil>
	//    sent reserve
	//    succeeded reserve
	//    sent pay
	//    succeeded pay
	//    turned forward only
	//    sent ship
	//    succeeded ship
	//    turned completed
	// 2 compensated pay: card declined {"ID":"2","Item":"yacht","Shelf":"A7","Receipt":""} <nil>
	//    sent reserve
	//    succeeded reserve
	//    sent pay
	//    refused pay
	//    turned compensating
	//    sent undo reserve
	//    succeeded undo reserve
	//    turned compensated
}
