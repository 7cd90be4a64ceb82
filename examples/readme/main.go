package main

import (
	"context"
	"fmt"
	"log"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

type (
	Lend  struct{ Book, Reader string } // a command
	Lent  struct{ Reader string }       // an event, in the book's stream
	Noted struct{ Book string }         // an event, in the stream of the reader's card
	Book  struct{ Reader string }       // a state
)

func (Lend) CommandType() string { return "lend" }
func (c Lend) StreamID() string  { return c.Book }
func (Lent) EventType() string   { return "lent" }
func (Noted) EventType() string  { return "noted" }

var books = organs.Aggregate[Book]{
	Category: "book",
	Evolve:   organs.Evolve[Book]{organs.On(func(b *Book, e Lent) { b.Reader = e.Reader })},
	Decide: organs.Decide[Book]{
		organs.Handle(func(b Book, c Lend) (organs.Events, error) {
			if b.Reader != "" {
				return nil, fmt.Errorf("%s has it", b.Reader)
			}
			return organs.Events{Lent{c.Reader}}, nil
		}),
	},
}

var desk = organs.Reactor{Name: "desk", On: organs.Reactions{
	organs.React(func(_ context.Context, e eventstore.Recorded[Lent]) (organs.Events, error) {
		return organs.Events{eventstore.In(eventstore.StreamOf("card", e.Payload.Reader), Noted{e.Stream.ID()})}, nil
	}),
}}

func main() {
	ctx, store := context.Background(), memory.Open(memory.Config{})
	sp, err := spine.New(store, spine.Config{}, books, desk)
	if err != nil {
		log.Fatal(err)
	}
	for _, reader := range []string{"ann", "bob"} {
		fmt.Println(sp.Send(ctx, Lend{"dune", reader})) // decided and committed now, or refused
	}
	if _, err := sp.Drain(ctx); err != nil { // the desk handles what there is; a service calls sp.Run
		log.Fatal(err)
	}
	for e, err := range store.Read(ctx, eventstore.All(), eventstore.Range{}) {
		fmt.Println(e.Position, e.Stream, e.Type, string(e.Data), err)
	}
}
