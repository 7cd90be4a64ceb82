// Package trip books a trip or nothing. Flight, hotel and car are booked at once, and given back if one of them is not to be had.
// Once the card is charged there is no way back: tickets are issued and the traveller is told, however often that
// takes to try.
package trip

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/necrostack/necrostack/sagas"
)

// The steps, in their order. All but Tickets call a service of the same name.
const (
	Flight  = "flight"
	Hotel   = "hotel"
	Car     = "car"
	Charge  = "charge"
	Tickets = "tickets"
	Notify  = "notify"
)

// Steps lists the steps in their order.
func Steps() []string { return []string{Flight, Hotel, Car, Charge, Tickets, Notify} }

// Service is somebody outside. A key makes what is asked for happen once, however often it is asked; an error made by
// sagas.Refuse is a no, and any other says that nobody knows whether it has happened.
type Service interface {
	// Order has the service do what a trip wants of it.
	Order(ctx context.Context, trip, wants string, key uuid.UUID) (reference string, err error)
	// Cancel undoes an order, and keeps one that is still on its way from being done at all.
	Cancel(ctx context.Context, trip string, key uuid.UUID) error
}

// Services are the services, by the steps that call them.
type Services map[string]Service

// Trip is what the saga remembers.
type Trip struct {
	ID, From, To, Card         string
	Flight, Room, Car, Receipt string   // references
	Tickets                    []string // numbers
}

// BookTrip begins a trip.
type BookTrip struct{ Trip, From, To, Card string }

// What services have done.
type (
	// FlightBooked is what the airline has done.
	FlightBooked struct{ Reference string }
	// RoomReserved is what the hotel has done.
	RoomReserved struct{ Reference string }
	// CarRented is what the car rental has done.
	CarRented struct{ Reference string }
	// CardCharged is what the bank has done.
	CardCharged struct{ Receipt string }
	// TravellerTold is what ends a trip well. It begins the waiting for a review.
	TravellerTold struct{ Trip, Reference string }
	// OrderUndone is what any of them has done that undoes one of the above.
	OrderUndone struct{ Service string }
)

// Saga books trips. Patience is how long it waits for a service until it asks again.
func Saga(services Services, patience time.Duration) sagas.Saga[Trip] {
	c := caller{services, patience}
	return sagas.Saga[Trip]{
		Name:    "trip",
		Version: 1,
		Start: sagas.StartBy(func(c BookTrip) (Trip, error) {
			return Trip{ID: c.Trip, From: c.From, To: c.To, Card: c.Card}, nil
		}),
		Steps: sagas.Sequence[Trip]{
			sagas.Parallel[Trip]{c.flight(), c.hotel(), c.car()},
			c.charge(),
			c.tickets(),
			c.notify(),
		},
		Deadline: 24 * time.Hour,
	}
}

// caller makes the steps, and the calls of services.
type caller struct {
	services Services
	patience time.Duration
}

func (c caller) flight() sagas.Step[Trip] {
	return sagas.Step[Trip]{
		ID: Flight,
		Do: sagas.Call(func(ctx context.Context, t Trip, key uuid.UUID) (FlightBooked, error) {
			ref, err := c.order(ctx, Flight, t, "from "+t.From+" to "+t.To, key)
			return FlightBooked{ref}, err
		}),
		Undo:    c.undo(Flight),
		On:      sagas.Outcomes[Trip]{sagas.Success(func(t *Trip, e FlightBooked) { t.Flight = e.Reference })},
		Timeout: c.limit(), Retry: tries(3), UndoRetry: tries(10),
	}
}

func (c caller) hotel() sagas.Step[Trip] {
	return sagas.Step[Trip]{
		ID: Hotel,
		Do: sagas.Call(func(ctx context.Context, t Trip, key uuid.UUID) (RoomReserved, error) {
			ref, err := c.order(ctx, Hotel, t, "in "+t.To, key)
			return RoomReserved{ref}, err
		}),
		Undo:    c.undo(Hotel),
		On:      sagas.Outcomes[Trip]{sagas.Success(func(t *Trip, e RoomReserved) { t.Room = e.Reference })},
		Timeout: c.limit(), Retry: tries(3), UndoRetry: tries(10),
	}
}

func (c caller) car() sagas.Step[Trip] {
	return sagas.Step[Trip]{
		ID: Car,
		Do: sagas.Call(func(ctx context.Context, t Trip, key uuid.UUID) (CarRented, error) {
			ref, err := c.order(ctx, Car, t, "in "+t.To, key)
			return CarRented{ref}, err
		}),
		Undo:    c.undo(Car),
		On:      sagas.Outcomes[Trip]{sagas.Success(func(t *Trip, e CarRented) { t.Car = e.Reference })},
		Timeout: c.limit(), Retry: tries(3), UndoRetry: tries(10),
	}
}

// charge is the pivot. A charge that nobody has heard of is asked for again under its key, which charges once: so it is never
// undone, and never taken for failed.
func (c caller) charge() sagas.Pivot[Trip] {
	return sagas.Pivot[Trip]{
		ID: Charge,
		Do: sagas.Call(func(ctx context.Context, t Trip, key uuid.UUID) (CardCharged, error) {
			ref, err := c.order(ctx, Charge, t, "card "+t.Card, key)
			return CardCharged{ref}, err
		}).Guarded(sagas.Breaker{Failures: 5, Open: time.Second}),
		On:      sagas.Outcomes[Trip]{sagas.Success(func(t *Trip, e CardCharged) { t.Receipt = e.Receipt })},
		Timeout: c.limit(), Retry: tries(-1), // without end
	}
}

// tickets is a command through the log, to Issuer.
func (c caller) tickets() sagas.Step[Trip] {
	return sagas.Step[Trip]{
		ID:    Tickets,
		Do:    sagas.Command(func(t Trip) IssueTickets { return IssueTickets{t.ID, t.Flight} }),
		On:    sagas.Outcomes[Trip]{sagas.Success(func(t *Trip, e TicketsIssued) { t.Tickets = e.Numbers })},
		Retry: tries(5),
	}
}

func (c caller) notify() sagas.Step[Trip] {
	return sagas.Step[Trip]{
		ID: Notify,
		Do: sagas.Call(func(ctx context.Context, t Trip, key uuid.UUID) (TravellerTold, error) {
			ref, err := c.order(ctx, Notify, t, "of "+t.Flight, key)
			return TravellerTold{t.ID, ref}, err
		}),
		Timeout: c.limit(), Retry: tries(5),
	}
}

// tries is for somebody who waits for the trip: a service would have more patience.
func tries(n int) sagas.Retry {
	return sagas.Retry{Attempts: n, Base: 100 * time.Millisecond, Most: time.Minute}
}

// limit is after which time the saga itself takes a call for lost. The call has given up before that, and has said why.
func (c caller) limit() time.Duration { return c.patience + time.Second }

func (c caller) order(ctx context.Context, step string, t Trip, wants string, key uuid.UUID) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	return c.services[step].Order(ctx, t.ID, wants, key)
}

func (c caller) undo(step string) sagas.Action[Trip] {
	return sagas.Call(func(ctx context.Context, t Trip, key uuid.UUID) (OrderUndone, error) {
		ctx, cancel := context.WithTimeout(ctx, c.patience)
		defer cancel()
		return OrderUndone{step}, c.services[step].Cancel(ctx, t.ID, key)
	})
}

// CommandType implements spine.Command.
func (BookTrip) CommandType() string { return "book trip" }

// StreamID implements spine.Command.
func (c BookTrip) StreamID() string { return c.Trip }

// EventType implements eventstore.Payload.
func (FlightBooked) EventType() string { return "flight booked" }

// EventType implements eventstore.Payload.
func (RoomReserved) EventType() string { return "room reserved" }

// EventType implements eventstore.Payload.
func (CarRented) EventType() string { return "car rented" }

// EventType implements eventstore.Payload.
func (CardCharged) EventType() string { return "card charged" }

// EventType implements eventstore.Payload.
func (OrderUndone) EventType() string { return "order undone" }

// EventType implements eventstore.Payload.
func (TravellerTold) EventType() string { return "traveller told" }

// EventTags implements eventstore.Tagged: the trip is how Review finds its instance.
func (e TravellerTold) EventTags() []string { return []string{"trip:" + e.Trip} }
