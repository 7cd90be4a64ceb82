// Command statetransfer prints labels for parcels from its own copy of the customers' addresses.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func main() {
	ctx, store := context.Background(), memory.Open(memory.Config{})
	sp, err := spine.New(store, spine.Config{}, Recipients)
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range []eventstore.Payload{
		eventstore.In("parcel-1", ParcelPacked{"1", "ann"}), // nobody has told yet where ann lives
		eventstore.In("customer-ann", CustomerMoved{"ann", "Oak Lane 1", 1}),
		eventstore.In("parcel-2", ParcelPacked{"2", "ann"}),
		eventstore.In("customer-ann", CustomerMoved{"ann", "Elm Road 2", 2}),
		eventstore.In("customer-ann", CustomerMoved{"ann", "Oak Lane 1", 1}), // again, and late
		eventstore.In("parcel-3", ParcelPacked{"3", "ann"}),
	} {
		if _, err := sp.Emit(ctx, e); err != nil {
			log.Fatal(err)
		}
	}
	if _, err := sp.Drain(ctx); err != nil {
		log.Fatal(err)
	}
	for e, err := range store.Read(ctx, eventstore.InStream("recipient-ann"), eventstore.Range{}) {
		fmt.Println(e.Version, e.Type, string(e.Data), err)
	}
}
