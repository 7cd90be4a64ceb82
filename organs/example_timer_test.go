package organs_test

import (
	"context"
	"fmt"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// An offer lapses unless it is taken in time.
type (
	Make struct {
		Offer string
		Lasts time.Duration
	}
	Take struct{ Offer string }

	Made   struct{}
	Taken  struct{}
	Lapsed struct{}
	Offer  struct{ Over bool }
)

func (Make) CommandType() string { return "make offer" }
func (c Make) StreamID() string  { return c.Offer }
func (Take) CommandType() string { return "take offer" }
func (c Take) StreamID() string  { return c.Offer }
func (Made) EventType() string   { return "offer made" }
func (Taken) EventType() string  { return "offer taken" }
func (Lapsed) EventType() string { return "offer lapsed" }

func lapse(offer string) organs.Timer {
	return organs.Timer{Owner: "offer-" + offer, Name: "lapse"}
}

var offers = organs.Aggregate[Offer]{
	Category: "offer",
	Evolve: organs.Evolve[Offer]{
		organs.On(func(o *Offer, _ Taken) { o.Over = true }),
		organs.On(func(o *Offer, _ Lapsed) { o.Over = true }),
	},
	Decide: organs.Decide[Offer]{
		organs.Handle(func(_ Offer, c spine.Received[Make]) (organs.Events, error) {
			due := c.Time.Add(c.Command.Lasts) // a decision is pure: it asks no clock
			return organs.Events{Made{}, organs.Set(lapse(c.Command.Offer), due, Lapsed{})}, nil
		}),
		organs.Handle(func(o Offer, c Take) (organs.Events, error) {
			if o.Over {
				return nil, fmt.Errorf("it is over")
			}
			return organs.Events{Taken{}, organs.Stop(lapse(c.Offer))}, nil
		}),
	},
}

func ExampleTimer() {
	ctx, store := context.Background(), memory.Open(memory.Config{})
	sp, err := spine.New(store, spine.Config{}, offers)
	if err != nil {
		panic(err)
	}
	for _, c := range []spine.Command{
		Make{"1", time.Hour}, Make{"2", time.Millisecond}, Take{"1"},
	} {
		if _, err := sp.Send(ctx, c); err != nil {
			panic(err)
		}
	}
	for next := time.Now(); !next.IsZero(); { // a service calls sp.Run
		time.Sleep(time.Until(next))
		if next, err = sp.Drain(ctx); err != nil {
			panic(err)
		}
	}
	for e, err := range store.Read(ctx, eventstore.All(), eventstore.Range{}) {
		fmt.Println(e.Stream, e.Type, err)
	}
	// Output:
	// offer-1 offer made <nil>
	// offer-2 offer made <nil>
	// offer-1 offer taken <nil>
	// offer-2 offer lapsed <nil>
}

// A reactor delays a command: it is decided when it is due.
func ExampleAt() {
	ctx, store := context.Background(), memory.Open(memory.Config{})
	keeper := organs.Reactor{
		Name: "keeper",
		On: organs.Reactions{
			organs.React(func(_ context.Context, e eventstore.Recorded[Lapsed]) (organs.Events, error) {
				return organs.Events{organs.At(e.Time.Add(time.Millisecond), spine.Post(Open{Door: "front"}))}, nil
			}),
		},
		Sends: []spine.Command{Open{}},
	}
	sp, err := spine.New(store, spine.Config{}, doors, keeper)
	if err != nil {
		panic(err)
	}
	if _, err := sp.Emit(ctx, eventstore.In("offer-1", Lapsed{})); err != nil {
		panic(err)
	}
	for next := time.Now(); !next.IsZero(); {
		time.Sleep(time.Until(next))
		if next, err = sp.Drain(ctx); err != nil {
			panic(err)
		}
	}
	door, _, err := doors.Load(ctx, store, "front")
	fmt.Printf("%+v, %v\n", door, err)
	// Output:
	// {Open:true}, <nil>
}
