package sagas_test

import (
	"context"
	"fmt"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

type (
	Delivered struct{ Order, Reader string }
	Reviewed  struct{ Order string }
	Remind    struct{ Reader, Order string }

	Review struct {
		Order, Reader string
		Reminded      int
	}
)

func (Delivered) EventType() string { return "delivered" }
func (Reviewed) EventType() string  { return "reviewed" }
func (Remind) CommandType() string  { return "remind" }
func (c Remind) StreamID() string   { return c.Reader }

// reviews asks for a review a week after delivery, three times, and then no more.
var reviews = sagas.Process[Review]{
	Name: "review",
	Key: func(e eventstore.Event) ([]string, error) {
		var of struct{ Order string } // both events have it
		err := e.Unmarshal(&of)
		return []string{of.Order}, err
	},
	Evolve: sagas.Evolve[Review]{
		sagas.On(func(r *Review, e Delivered) { r.Order, r.Reader = e.Order, e.Reader }),
		sagas.On(func(r *Review, _ spine.Accepted) { r.Reminded++ }),
	},
	React: sagas.Reactions[Review]{
		sagas.Start(func(Review, Delivered) sagas.Actions {
			return sagas.Actions{sagas.SetTimer("silent", 7*24*time.Hour)}
		}),
		sagas.OnTimer("silent", func(r Review) sagas.Actions {
			if r.Reminded == 3 {
				return sagas.Actions{sagas.Done()}
			}
			return sagas.Actions{sagas.Send(Remind{r.Reader, r.Order}), sagas.SetTimer("silent", 7*24*time.Hour)}
		}),
		sagas.When(func(Review, Reviewed) sagas.Actions { return sagas.Actions{sagas.Done()} }),
	},
	Sends: []spine.Command{Remind{}},
}

func ExampleProcess() {
	ctx, store := context.Background(), memory.Open(memory.Config{})
	mailbox := organs.Aggregate[int]{Category: "mailbox", Decide: organs.Decide[int]{
		organs.Handle(func(int, Remind) (organs.Events, error) { return nil, nil }),
	}}
	sp, err := spine.New(store, spine.Config{}, reviews, mailbox)
	if err != nil {
		panic(err)
	}
	for _, e := range []eventstore.Payload{Delivered{"1", "ann"}, Delivered{"2", "bob"}, Reviewed{"1"}} {
		if _, err := sp.Emit(ctx, e); err != nil {
			panic(err)
		}
	}
	next, err := sp.Drain(ctx)
	fmt.Println("next in", time.Until(next).Round(time.Hour), err)
	for _, id := range []string{"1", "2"} {
		r, err := reviews.Instances(store).Show(ctx, id)
		fmt.Println(r.Instance, r.State, err)
		for _, e := range r.Entries {
			fmt.Println("  ", e.What, e.Step+string(e.To))
		}
	}
	// Output:
	// next in 168h0m0s <nil>
	// 1 completed <nil>
	//    took delivered
	//    set silent
	//    took reviewed
	//    stopped silent
	//    turned completed
	// 2 running <nil>
	//    took delivered
	//    set silent
}
