package main

import (
	"context"

	"github.com/google/uuid"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
)

type (
	OrderPlaced struct{}                        // which one, its stream says; what is in it, the shop knows
	ReceiptSent struct{ Letter string }         // in the order's stream
	Order       struct{ Customer, Text string } // as the shop knows it
)

func (OrderPlaced) EventType() string { return "order placed" }
func (ReceiptSent) EventType() string { return "receipt sent" }

// Shop keeps the orders.
type Shop interface {
	Order(ctx context.Context, id string) (Order, error)
}

// Mailer sends one letter for each key, however often it is asked, and answers with the letter's number.
type Mailer interface {
	Send(ctx context.Context, key uuid.UUID, to, text string) (letter string, err error)
}

// Receipts sends a receipt for each order.
func Receipts(shop Shop, mail Mailer) organs.Reactor {
	return organs.Reactor{Name: "receipts", On: organs.Reactions{
		organs.React(func(ctx context.Context, e eventstore.Recorded[OrderPlaced]) (organs.Events, error) {
			o, err := shop.Order(ctx, e.Stream.ID()) // as it is now, which may be later than the event
			if err != nil {
				return nil, err // tried again at once, and then parked
			}
			letter, err := mail.Send(ctx, e.ID, o.Customer, o.Text) // the event's id is the idempotency key
			if err != nil {
				return nil, err
			}
			return organs.Events{ReceiptSent{letter}}, nil
		}),
	}}
}
