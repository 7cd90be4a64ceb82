package main

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/google/uuid"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func Example() {
	main()
	// Output:
	// told at position 1 <nil>
	// told at position 1 <nil>
	// the mailer was asked 2 times and sent 1
	// 1 order-7 order placed {} <nil>
	// 2 order-7 receipt sent {"Letter":"L1"} <nil>
}

func TestOrderThatIsGoneIsParkedAndHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	store := memory.Open(memory.Config{})
	shop, mail := orders{"8": {"bob", "a lamp"}}, &letters{sent: map[uuid.UUID]string{}}
	sp, err := spine.New(store, spine.Config{
		Logger: slog.New(slog.DiscardHandler),
		Policy: spine.Policy{Partitions: 1, Retry: spine.Retry{Attempts: 1}}, // both orders share a lane
	}, Receipts(shop, mail))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sp.Emit(t.Context(), eventstore.In("order-7", OrderPlaced{}), eventstore.In("order-8", OrderPlaced{})); err != nil {
		t.Fatal(err)
	}
	if _, err := sp.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	var parked []string
	for p, err := range store.Parked(t.Context(), eventstore.ParkedFilter{Consumer: "receipts"}) {
		if err != nil {
			t.Fatal(err)
		}
		parked = append(parked, p.Key+": "+p.Failures[0].Error)
	}
	var sent []eventstore.Stream
	for e, err := range store.Read(t.Context(), eventstore.OfType("receipt sent"), eventstore.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		sent = append(sent, e.Stream)
	}
	if got, want := fmt.Sprint(parked, sent), "[order-7: there is no such order] [order-8]"; got != want {
		t.Errorf("parked and sent: %s, want %s", got, want)
	}
}
