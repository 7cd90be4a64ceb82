// Package service is those who do what a trip needs: an airline, a hotel, a car rental, a bank, and whoever tells travellers. They
// are alike but for their names. One may be in this process, or a process of its own that is called by HTTP.
package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/travel/trip"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

// Names lists the services.
func Names() []string { return []string{trip.Flight, trip.Hotel, trip.Car, trip.Charge, trip.Notify} }

// Service is a trip.Service that also shows its books.
type Service interface {
	trip.Service

	// Held says what the service has of a trip.
	Held(ctx context.Context, trip string) (Booking, error)
}

// Booking is what a service has of a trip. The zero Booking is nothing.
type Booking struct {
	Reference string `json:"reference"`
	Cancelled bool   `json:"cancelled"` // also if it was cancelled before it was ever ordered
}

// Faults are what a service does wrong, on request.
type Faults struct {
	Refuses bool // every order
	Late    bool // its answers to the first orders: it does what it is asked for, and nobody hears of it
	Away    bool // for the first calls
}

// Why calls fail on request. What comes of them nobody knows.
var (
	ErrLate = errors.New("no answer in time")
	ErrAway = errors.New("nobody is there")
)

// How many calls a fault is about, if not about all.
const (
	late = 3
	away = 2
)

// Desk is a service that is in this process. Its books are in a log, and the key of a call is the id of a command: so a call
// that comes again has the answer that it had.
type Desk struct {
	store  *eventstore.Store
	spine  *spine.Spine
	name   string
	pace   time.Duration
	faults Faults

	mu     sync.Mutex
	calls  int
	orders int
}

// Open opens a service on its books, which may be in one log with those of others, and with anything else.
func Open(store *eventstore.Store, name string, faults Faults) (*Desk, error) {
	sp, err := spine.New(store, spine.Config{Logger: slog.New(slog.DiscardHandler)}, books(name, faults.Refuses))
	if err != nil {
		return nil, err
	}
	d := &Desk{store: store, spine: sp, name: name, faults: faults}
	for i, n := range Names() {
		if n == name {
			d.pace = time.Duration(i+1) * 10 * time.Millisecond // so that what is done at once ends one after the other
		}
	}
	return d, nil
}

// Order implements trip.Service.
func (d *Desk) Order(ctx context.Context, trip, wants string, key uuid.UUID) (string, error) {
	n, err := d.begin(ctx, true)
	if err != nil {
		return "", err
	}
	if err := d.send(ctx, key, order{d.name, trip, wants}); err != nil {
		return "", err
	}
	held, err := d.Held(ctx, trip)
	if err == nil && d.faults.Late && n <= late {
		<-ctx.Done() // of whoever waits for the answer, or of the whole service
		err = ErrLate
	}
	return held.Reference, err
}

// Cancel implements trip.Service.
func (d *Desk) Cancel(ctx context.Context, trip string, key uuid.UUID) error {
	if _, err := d.begin(ctx, false); err != nil {
		return err
	}
	return d.send(ctx, key, cancel{d.name, trip})
}

// Held implements Service.
func (d *Desk) Held(ctx context.Context, trip string) (Booking, error) {
	b, _, err := books(d.name, false).Load(ctx, d.store, id(d.name, trip))
	return b, err
}

// begin takes a call, which takes its time. It returns how many orders there were.
func (d *Desk) begin(ctx context.Context, order bool) (int, error) {
	d.mu.Lock()
	d.calls++
	if order {
		d.orders++
	}
	calls, orders := d.calls, d.orders
	d.mu.Unlock()
	if d.faults.Away && calls <= away {
		return orders, ErrAway
	}
	select {
	case <-time.After(d.pace):
		return orders, nil
	case <-ctx.Done():
		return orders, context.Cause(ctx)
	}
}

func (d *Desk) send(ctx context.Context, key uuid.UUID, c spine.Command) error {
	_, err := d.spine.Send(ctx, spine.WithID(key, c))
	if refused, is := errors.AsType[*spine.RejectedError](err); is {
		return no(refused.Err)
	}
	return err
}

// noError is a service's no, on whichever side of the network.
type noError struct{ error }

// no makes an error that the saga takes for a no.
func no(err error) error { return sagas.Refuse(&noError{err}) }

type (
	order     struct{ Service, Trip, Wants string }
	cancel    struct{ Service, Trip string }
	taken     struct{ Wants, Reference string }
	withdrawn struct{}
)

// id is that of the books' page about a trip.
func id(service, trip string) string { return service + "/" + trip }

func (order) CommandType() string   { return "order" }
func (o order) StreamID() string    { return id(o.Service, o.Trip) }
func (cancel) CommandType() string  { return "cancel order" }
func (c cancel) StreamID() string   { return id(c.Service, c.Trip) }
func (taken) EventType() string     { return Taken }
func (withdrawn) EventType() string { return Withdrawn }

// The types of the events in a service's books.
const (
	Taken     = "order taken"
	Withdrawn = "order withdrawn"
)

// Page is the stream of a service's books about a trip.
func Page(service, trip string) eventstore.Stream {
	return eventstore.StreamOf("books", id(service, trip))
}

// books are those of one service.
func books(name string, refuses bool) organs.Aggregate[Booking] {
	return organs.Aggregate[Booking]{
		Category: "books",
		Evolve: organs.Evolve[Booking]{
			organs.On(func(b *Booking, e taken) { b.Reference = e.Reference }),
			organs.On(func(b *Booking, _ withdrawn) { b.Cancelled = true }),
		},
		Decide: organs.Decide[Booking]{
			organs.Handle(func(b Booking, o order) (organs.Events, error) {
				switch {
				case b.Cancelled: // it was undone before it came
					return nil, errors.New("it was cancelled")
				case b.Reference != "":
					return nil, nil
				case refuses:
					return nil, fmt.Errorf("no %s %s", goods(name), o.Wants)
				}
				return organs.Events{taken{o.Wants, strings.ToUpper(name[:2]) + "-" + o.Trip}}, nil
			}),
			organs.Handle(func(b Booking, _ cancel) (organs.Events, error) {
				if b.Cancelled {
					return nil, nil
				}
				return organs.Events{withdrawn{}}, nil
			}),
		},
	}
}

// goods are what a service refuses.
func goods(name string) string {
	switch name {
	case trip.Flight:
		return "seat"
	case trip.Hotel:
		return "room"
	case trip.Charge:
		return "money on"
	case trip.Notify:
		return "word"
	}
	return name
}
