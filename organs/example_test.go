package organs_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// A door is opened by commands, but only while it is closed.
type (
	Open   struct{ Door string }
	Opened struct{}
	Door   struct{ Open bool }
)

func (Open) CommandType() string { return "open door" }
func (c Open) StreamID() string  { return c.Door }
func (Opened) EventType() string { return "door opened" }

var errOpen = errors.New("it is open already")

var doors = organs.Aggregate[Door]{
	Category: "door",
	Evolve: organs.Evolve[Door]{
		organs.On(func(d *Door, _ Opened) { d.Open = true }),
	},
	Decide: organs.Decide[Door]{
		organs.Handle(func(d Door, _ Open) (organs.Events, error) {
			if d.Open {
				return nil, errOpen
			}
			return organs.Events{Opened{}}, nil
		}),
	},
}

func ExampleAggregate() {
	ctx, store := context.Background(), memory.Open(memory.Config{})
	sp, err := spine.New(store, spine.Config{}, doors)
	if err != nil {
		panic(err)
	}
	for range 2 {
		r, err := sp.Send(ctx, Open{Door: "front"})
		fmt.Println(r.Position, err, errors.Is(err, errOpen))
	}
	door, version, err := doors.Load(ctx, store, "front")
	fmt.Printf("%+v at version %d, %v\n", door, version, err)
	// Output:
	// 1 <nil> false
	// 0 open door rejected: it is open already true
	// {Open:true} at version 1, <nil>
}

// Lamps are lit when a door opens.
type Lit struct{ By string }

func (Lit) EventType() string { return "lamp lit" }

func ExampleReactor() {
	ctx, store := context.Background(), memory.Open(memory.Config{})
	lamps := organs.Reactor{
		Name: "lamps",
		On: organs.Reactions{
			organs.React(func(_ context.Context, e eventstore.Recorded[Opened]) (organs.Events, error) {
				return organs.Events{eventstore.In("lamp-hall", Lit{By: e.Stream.ID()})}, nil
			}),
		},
	}
	sp, err := spine.New(store, spine.Config{}, doors, lamps)
	if err != nil {
		panic(err)
	}
	if _, err := sp.Send(ctx, Open{Door: "front"}); err != nil {
		panic(err)
	}
	if _, err := sp.Drain(ctx); err != nil {
		panic(err)
	}
	for e, err := range store.Read(ctx, eventstore.All(), eventstore.Range{}) {
		fmt.Println(e.Position, e.Stream, e.Type, string(e.Data), err)
	}
	// Output:
	// 1 door-front door opened {} <nil>
	// 2 lamp-hall lamp lit {"By":"front"} <nil>
}

// A counter remembers how many doors of a house were opened.
type (
	Counter struct{ Openings int }
	Counted struct{ Openings int }
)

func (Counted) EventType() string { return "counted" }

// A house decides about events from the doors' streams: no command lies in between, and each counts once.
func ExampleWhen() {
	ctx, store := context.Background(), memory.Open(memory.Config{})
	houses := organs.Aggregate[Counter]{
		Category: "house",
		Evolve: organs.Evolve[Counter]{
			organs.On(func(c *Counter, e Counted) { c.Openings = e.Openings }),
		},
		Decide: organs.Decide[Counter]{
			organs.When(
				func(Opened) string { return "ours" },
				func(c Counter, _ Opened) (organs.Events, error) {
					return organs.Events{Counted{c.Openings + 1}}, nil
				},
			),
		},
	}
	sp, err := spine.New(store, spine.Config{}, doors, houses)
	if err != nil {
		panic(err)
	}
	for _, door := range []string{"front", "back"} {
		if _, err := sp.Send(ctx, Open{Door: door}); err != nil {
			panic(err)
		}
	}
	for range 2 { // the second finds nothing to do
		if _, err := sp.Drain(ctx); err != nil {
			panic(err)
		}
	}
	house, version, err := houses.Load(ctx, store, "ours")
	fmt.Printf("%+v at version %d, %v\n", house, version, err)
	// Output:
	// {Openings:2} at version 2, <nil>
}
