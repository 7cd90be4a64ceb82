package sagas_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

// A trip is a flight and a room, at once, then the card is charged, then there are tickets.
type (
	bookTrip     struct{ Trip string }
	bookFlight   struct{ Trip string }
	cancelFlight struct{ Trip string }
	reserveRoom  struct{ Trip string }
	releaseRoom  struct{ Trip string }
	issueTickets struct{ Trip string }

	flightBooked    struct{ Seat string }
	flightCancelled struct{}
	roomReserved    struct{}
	roomReleased    struct{}
	cardCharged     struct{ Receipt string }
	ticketsIssued   struct{}

	trip struct{ ID, Seat, Receipt string }
)

func (bookTrip) CommandType() string     { return "book trip" }
func (bookFlight) CommandType() string   { return "book flight" }
func (cancelFlight) CommandType() string { return "cancel flight" }
func (reserveRoom) CommandType() string  { return "reserve room" }
func (releaseRoom) CommandType() string  { return "release room" }
func (issueTickets) CommandType() string { return "issue tickets" }

func (c bookTrip) StreamID() string     { return c.Trip }
func (c bookFlight) StreamID() string   { return c.Trip }
func (c cancelFlight) StreamID() string { return c.Trip }
func (c reserveRoom) StreamID() string  { return c.Trip }
func (c releaseRoom) StreamID() string  { return c.Trip }
func (c issueTickets) StreamID() string { return c.Trip }

func (flightBooked) EventType() string    { return "flight booked" }
func (flightCancelled) EventType() string { return "flight cancelled" }
func (roomReserved) EventType() string    { return "room reserved" }
func (roomReleased) EventType() string    { return "room released" }
func (cardCharged) EventType() string     { return "card charged" }
func (ticketsIssued) EventType() string   { return "tickets issued" }

var errFull = errors.New("fully booked")

// world is what the participants do.
type world struct {
	noRoom bool
	charge func(key uuid.UUID) (string, error)
}

func (w world) organs() []spine.Organ {
	flights := organs.Aggregate[bool]{
		Category: "flight",
		Evolve: organs.Evolve[bool]{
			organs.On(func(b *bool, _ flightBooked) { *b = true }),
			organs.On(func(b *bool, _ flightCancelled) { *b = false }),
		},
		Decide: organs.Decide[bool]{
			organs.Handle(func(bool, bookFlight) (organs.Events, error) { return organs.Events{flightBooked{"7A"}}, nil }),
			organs.Handle(func(booked bool, _ cancelFlight) (organs.Events, error) {
				if !booked {
					return nil, nil
				}
				return organs.Events{flightCancelled{}}, nil
			}),
		},
	}
	rooms := organs.Aggregate[bool]{
		Category: "room",
		Decide: organs.Decide[bool]{
			organs.Handle(func(bool, reserveRoom) (organs.Events, error) {
				if w.noRoom {
					return nil, errFull
				}
				return organs.Events{roomReserved{}}, nil
			}),
			organs.Handle(func(bool, releaseRoom) (organs.Events, error) { return organs.Events{roomReleased{}}, nil }),
		},
	}
	tickets := organs.Aggregate[bool]{
		Category: "ticket",
		Decide: organs.Decide[bool]{
			organs.Handle(func(bool, issueTickets) (organs.Events, error) { return organs.Events{ticketsIssued{}}, nil }),
		},
	}
	return []spine.Organ{w.saga(), flights, rooms, tickets}
}

func (w world) saga() sagas.Saga[trip] {
	return sagas.Saga[trip]{
		Name:  "trip",
		Start: sagas.StartBy(func(c bookTrip) (trip, error) { return trip{ID: c.Trip}, nil }),
		Steps: sagas.Sequence[trip]{
			sagas.Parallel[trip]{
				{
					ID:   "flight",
					Do:   sagas.Command(func(t trip) bookFlight { return bookFlight{t.ID} }),
					Undo: sagas.Command(func(t trip) cancelFlight { return cancelFlight{t.ID} }),
					On:   sagas.Outcomes[trip]{sagas.Success(func(t *trip, e flightBooked) { t.Seat = e.Seat })},
				},
				{
					ID:   "room",
					Do:   sagas.Command(func(t trip) reserveRoom { return reserveRoom{t.ID} }),
					Undo: sagas.Command(func(t trip) releaseRoom { return releaseRoom{t.ID} }),
				},
			},
			sagas.Pivot[trip]{
				ID: "charge",
				Do: sagas.Call(func(_ context.Context, _ trip, id uuid.UUID) (cardCharged, error) {
					receipt, err := w.charge(id)
					return cardCharged{receipt}, err
				}),
				On: sagas.Outcomes[trip]{sagas.Success(func(t *trip, e cardCharged) { t.Receipt = e.Receipt })},
			},
			sagas.Step[trip]{ID: "tickets", Do: sagas.Command(func(t trip) issueTickets { return issueTickets{t.ID} })},
		},
		Deadline: time.Hour,
	}
}

func TestTrip(t *testing.T) {
	t.Parallel()
	st := memory.Open(memory.Config{})
	defer st.Close()
	w := world{charge: func(uuid.UUID) (string, error) { return "r1", nil }}
	sp, err := spine.New(st, spine.Config{Logger: slog.New(slog.DiscardHandler)}, w.organs()...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sp.Send(t.Context(), bookTrip{"42"}); err != nil {
		t.Fatal(err)
	}
	if _, err := sp.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for ev, err := range st.Read(t.Context(), eventstore.All(), eventstore.Range{}) {
		t.Log(ev.Position, ev.Stream, ev.Type, string(ev.Data), ev.Metadata.ReplyTo, err)
	}
	show, err := w.saga().Instances(st).Show(t.Context(), "42")
	t.Log(show.State, show.Steps, string(show.Result), err)
}
