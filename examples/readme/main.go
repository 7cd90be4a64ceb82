package main

import (
	"context"
	"fmt"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

type (
	Lend   struct{ Book, Reader string } // a command
	Return struct{ Book string }         // another
	Moved  struct{ Reader, How string }  // an event
	Noted  struct{ Book, How string }    // another
)

func (Lend) CommandType() string   { return "lend" }
func (c Lend) StreamID() string    { return c.Book }
func (Return) CommandType() string { return "return" }
func (c Return) StreamID() string  { return c.Book }
func (Moved) EventType() string    { return "moved" }
func (Noted) EventType() string    { return "noted" }

var books = organs.Aggregate[Moved]{ // the state of a book is its last move
	Category: "book", Evolve: organs.Evolve[Moved]{organs.On(func(b *Moved, e Moved) { *b = e })},
	Decide: organs.Decide[Moved]{
		organs.Handle(func(b Moved, c Lend) (organs.Events, error) {
			if b.How == "lent" {
				return nil, fmt.Errorf("%s has it", b.Reader)
			}
			return organs.Events{Moved{c.Reader, "lent"}}, nil
		}),
		organs.Handle(func(b Moved, _ Return) (organs.Events, error) { return organs.Events{Moved{b.Reader, "returned"}}, nil }),
	},
}

var desk = organs.Reactor{Name: "desk", On: organs.Reactions{ // keeps a card for each reader
	organs.React(func(_ context.Context, e eventstore.Recorded[Moved]) (organs.Events, error) {
		return organs.Events{eventstore.In(eventstore.StreamOf("card", e.Payload.Reader), Noted{e.Stream.ID(), e.Payload.How})}, nil
	}),
}}

func main() {
	ctx, store := context.Background(), memory.Open(memory.Config{})
	sp, err := spine.New(store, spine.Config{}, books, desk)
	if err != nil {
		panic(err)
	}
	for _, c := range []spine.Command{Lend{"dune", "ann"}, Lend{"dune", "bob"}, Return{"dune"}} {
		fmt.Println(sp.Send(ctx, c)) // decided and committed now: where its events stand, or why it was refused
	}
	_, err = sp.Drain(ctx) // the desk handles what there is; a service calls sp.Run instead
	fmt.Println("drained:", err)
	for e, err := range store.Read(ctx, eventstore.All(), eventstore.Range{}) {
		fmt.Println(e.Position, e.Stream, e.Type, string(e.Data), err)
	}
}
