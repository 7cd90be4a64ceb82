package main

import (
	"context"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// Standby books every seat that becomes free for one guest. The command goes into the log by the commit that says that
// the event is handled: it is not lost, and it is not sent twice.
func Standby(guest string) organs.Reactor {
	return organs.Reactor{Name: "standby", Sends: []spine.Command{Book{}}, On: organs.Reactions{
		organs.React(func(_ context.Context, e eventstore.Recorded[Freed]) (organs.Events, error) {
			return organs.Events{spine.Post(Book{e.Stream.ID(), e.Payload.Seat, guest})}, nil
		}),
	}}
}
