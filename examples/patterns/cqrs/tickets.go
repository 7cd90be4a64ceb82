package main

import (
	"context"
	"slices"

	"github.com/necrostack/necrostack/eventstore"
)

// Tickets are the seats of one guest, in all shows.
type Tickets []string

var tickets = eventstore.Fold[Tickets]{
	eventstore.On(func(t *Tickets, e eventstore.Recorded[Booked]) {
		*t = append(*t, e.Stream.ID()+" "+e.Payload.Seat)
	}),
	eventstore.On(func(t *Tickets, e eventstore.Recorded[Freed]) {
		*t = slices.DeleteFunc(*t, func(seat string) bool { return seat == e.Stream.ID()+" "+e.Payload.Seat })
	}),
}

// TicketsOf folds on read. It is never behind, and reads all that ever happened to the guest's tickets.
func TicketsOf(ctx context.Context, store *eventstore.Store, guest string) (t Tickets, err error) {
	of := eventstore.WithTags("guest:" + guest).Only(tickets.Types()...)
	for e, err := range store.Read(ctx, of, eventstore.Range{}) {
		if err == nil {
			err = tickets.Apply(&t, e)
		}
		if err != nil {
			return t, err
		}
	}
	return t, nil
}
