// Command notification sends receipts for orders of which the log says only that they were placed.
package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"

	"github.com/google/uuid"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func main() {
	ctx, store := context.Background(), memory.Open(memory.Config{})
	shop, mail := orders{"7": {"ann", "one book"}}, &letters{sent: map[uuid.UUID]string{}, lost: 1}
	sp, err := spine.New(store, spine.Config{Logger: slog.New(slog.DiscardHandler)}, Receipts(shop, mail))
	if err != nil {
		log.Fatal(err)
	}
	placed := eventstore.Draft{ID: uuid.MustParse("0198a000-0000-7000-8000-000000000007"), Stream: "order-7", Payload: OrderPlaced{}}
	for range 2 { // the shop has not heard the first answer, and tells of the order again
		r, err := sp.Emit(ctx, placed)
		fmt.Println("told at position", r.Position, err)
	}
	if _, err := sp.Drain(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println("the mailer was asked", mail.asked, "times and sent", len(mail.sent))
	for e, err := range store.Read(ctx, eventstore.All(), eventstore.Range{}) {
		fmt.Println(e.Position, e.Stream, e.Type, string(e.Data), err)
	}
}
