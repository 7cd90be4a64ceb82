package main

import (
	"context"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

type (
	Earned struct{ Total int } // an event, in the guest's stream
	Points struct{ Total int } // a state
)

func (Earned) EventType() string { return "points earned" }

// Guests earn points for every seat they book. The last event of a guest's stream says how many.
var Guests = organs.Aggregate[Points]{
	Category: "guest",
	Evolve:   organs.Evolve[Points]{organs.On(func(p *Points, e Earned) { p.Total = e.Total })},
	Decide: organs.Decide[Points]{
		organs.When(
			func(e Booked) string { return e.Guest },
			func(p Points, _ Booked) (organs.Events, error) { return organs.Events{Earned{p.Total + 10}}, nil },
		),
	},
}

// PointsOf reads one event. It knows of no booking that Guests has not handled yet.
func PointsOf(ctx context.Context, store *eventstore.Store, guest string) (int, error) {
	stream := eventstore.StreamOf(Guests.Category, guest)
	for e, err := range store.Read(ctx, eventstore.InStream(stream), eventstore.Range{Backward: true, Limit: 1}) {
		if err != nil {
			return 0, err
		}
		earned, err := eventstore.Decode[Earned](e)
		return earned.Total, err
	}
	return 0, nil
}

// BookAndCount books a seat and returns the guest's points, those for this seat included.
func BookAndCount(ctx context.Context, sp *spine.Spine, c Book) (points int, err error) {
	r, err := sp.Send(ctx, c)
	if err != nil {
		return 0, err
	}
	if err := sp.WaitFor(ctx, Guests.Category, r.Position); err != nil {
		return 0, err // the seat is booked all the same
	}
	return PointsOf(ctx, sp.Store(), c.Guest)
}
