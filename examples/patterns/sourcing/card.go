package main

import (
	"context"
	"errors"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
)

// Commands.
type (
	TopUp struct {
		Card   string
		Amount int
	}
	Redeem struct {
		Card   string
		Amount int
	}
)

// Events, and the state that they make.
type (
	ToppedUp struct{ Amount int }
	Redeemed struct{ Amount int }
	Card     struct{ Balance int }
)

func (TopUp) CommandType() string  { return "top up card" }
func (c TopUp) StreamID() string   { return c.Card }
func (Redeem) CommandType() string { return "redeem card" }
func (c Redeem) StreamID() string  { return c.Card }
func (ToppedUp) EventType() string { return "card topped up" }
func (Redeemed) EventType() string { return "card redeemed" }

// ErrBalance refuses to redeem more than there is.
var ErrBalance = errors.New("the card does not hold as much")

// Cards never hold less than nothing.
var Cards = organs.Aggregate[Card]{
	Category: "card",
	Evolve: organs.Evolve[Card]{
		organs.On(func(c *Card, e ToppedUp) { c.Balance += e.Amount }),
		organs.On(func(c *Card, e Redeemed) { c.Balance -= e.Amount }),
	},
	Decide: organs.Decide[Card]{
		organs.Handle(func(_ Card, c TopUp) (organs.Events, error) { return organs.Events{ToppedUp{c.Amount}}, nil }),
		organs.Handle(func(s Card, c Redeem) (organs.Events, error) {
			if c.Amount > s.Balance {
				return nil, ErrBalance
			}
			return organs.Events{Redeemed{c.Amount}}, nil
		}),
	},
}

// At is a card as it was when the log had come to a position.
func At(ctx context.Context, store *eventstore.Store, card string, p eventstore.Position) (c Card, err error) {
	stream := eventstore.StreamOf(Cards.Category, card)
	for e, err := range store.Read(ctx, eventstore.InStream(stream), eventstore.Range{UpTo: p}) {
		if err == nil {
			err = Cards.Evolve.Apply(&c, e)
		}
		if err != nil {
			return c, err
		}
	}
	return c, nil
}
