package sagas_test

import (
	"cmp"
	"context"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/sagas/sagatest"
	"github.com/necrostack/necrostack/spine"
)

// ended is how an instance has ended.
type ended struct {
	State  sagas.State
	Steps  map[string]sagas.What
	Result string
	Events map[string]int // of the participants
}

// ends returns how an instance ends, and how often each type of event stands in the participants' streams.
func ends(show func(*eventstore.Store) sagas.Instances, id string, types ...string) func(context.Context, *eventstore.Store) (any, error) {
	return func(ctx context.Context, st *eventstore.Store) (any, error) {
		line, err := show(st).Show(ctx, id)
		if err != nil {
			return nil, err
		}
		e := ended{line.State, line.Steps, string(line.Result), map[string]int{}}
		for ev, err := range st.Read(ctx, eventstore.OfType(types...), eventstore.Range{}) {
			if err != nil {
				return nil, err
			}
			e.Events[ev.Type]++
		}
		return e, nil
	}
}

// deaf is a flight that takes orders, and never says what came of them.
var deaf = organs.Aggregate[bool]{Category: "flight", Decide: organs.Decide[bool]{
	organs.Handle(func(bool, bookFlight) (organs.Events, error) { return nil, nil }),
	organs.Handle(func(bool, cancelFlight) (organs.Events, error) { return organs.Events{flightCancelled{}}, nil }),
}}

// A holiday is a trip, and an insurance for it.
type (
	bookHoliday struct{ Holiday string }
	insure      struct{ Holiday string }
	holiday     struct{ ID, Trip string }
)

func (bookHoliday) CommandType() string { return "book holiday" }
func (insure) CommandType() string      { return "insure" }
func (c bookHoliday) StreamID() string  { return c.Holiday }
func (c insure) StreamID() string       { return c.Holiday }

var holidays = sagas.Saga[holiday]{
	Name:  "holiday",
	Start: sagas.StartBy(func(c bookHoliday) (holiday, error) { return holiday{ID: c.Holiday}, nil }),
	Steps: sagas.Sequence[holiday]{
		sagas.Step[holiday]{
			ID: "trip",
			Do: sagas.Nested(func(holiday) bookTrip { return bookTrip{"42"} }),
			On: sagas.Outcomes[holiday]{sagas.Success(func(h *holiday, e sagas.Ended) { h.Trip = string(e.Result) })},
		},
		sagas.Step[holiday]{ID: "insurance", Do: sagas.Command(func(h holiday) insure { return insure{h.ID} })},
	},
}

var insurances = organs.Aggregate[bool]{Category: "insurance", Decide: organs.Decide[bool]{
	organs.Handle(func(bool, insure) (organs.Events, error) { return nil, nil }),
}}

// A stay is a flight, and a room that is free only when it is asked for again.
type roomFull struct{}

func (roomFull) EventType() string { return "room full" }

var stays = sagas.Saga[trip]{
	Name:  "stay",
	Start: sagas.StartBy(func(c bookTrip) (trip, error) { return trip{ID: c.Trip}, nil }),
	Steps: sagas.Sequence[trip]{
		sagas.Step[trip]{
			ID:   "flight",
			Do:   sagas.Command(func(t trip) bookFlight { return bookFlight{t.ID} }),
			Undo: sagas.Command(func(t trip) cancelFlight { return cancelFlight{t.ID} }),
			On:   sagas.Outcomes[trip]{sagas.Success(func(t *trip, e flightBooked) { t.Seat = e.Seat })},
		},
		sagas.Savepoint[trip]{Retry: sagas.Retry{Attempts: 1, Base: time.Hour, Most: 2 * time.Hour}},
		sagas.Step[trip]{
			ID:   "tickets",
			Do:   sagas.Command(func(t trip) issueTickets { return issueTickets{t.ID} }),
			Undo: sagas.Command(func(t trip) returnTickets { return returnTickets{t.ID} }),
		},
		sagas.Step[trip]{
			ID:   "room",
			Do:   sagas.Command(func(t trip) reserveRoom { return reserveRoom{t.ID} }),
			Undo: sagas.Command(func(t trip) releaseRoom { return releaseRoom{t.ID} }),
			On: sagas.Outcomes[trip]{
				sagas.Success(func(*trip, roomReserved) {}),
				sagas.Refusal(func(*trip, roomFull) {}),
			},
		},
	},
}

type (
	returnTickets   struct{ Trip string }
	ticketsReturned struct{}
)

func (returnTickets) CommandType() string { return "return tickets" }
func (c returnTickets) StreamID() string  { return c.Trip }
func (ticketsReturned) EventType() string { return "tickets returned" }

// full is a room that is taken when it is first asked for, and so many times more.
func full(times int) organs.Aggregate[int] {
	return organs.Aggregate[int]{
		Category: "room",
		Evolve:   organs.Evolve[int]{organs.On(func(n *int, _ roomFull) { *n++ })},
		Decide: organs.Decide[int]{
			organs.Handle(func(n int, _ reserveRoom) (organs.Events, error) {
				if n < times {
					return organs.Events{roomFull{}}, nil
				}
				return organs.Events{roomReserved{}}, nil
			}),
			organs.Handle(func(int, releaseRoom) (organs.Events, error) { return organs.Events{roomReleased{}}, nil }),
		},
	}
}

var returnable = organs.Aggregate[bool]{Category: "ticket", Decide: organs.Decide[bool]{
	organs.Handle(func(bool, issueTickets) (organs.Events, error) { return organs.Events{ticketsIssued{}}, nil }),
	organs.Handle(func(bool, returnTickets) (organs.Events, error) { return organs.Events{ticketsReturned{}}, nil }),
}}

// Reminders follow a booking after a week, three days later, and after a month.
type (
	booked   struct{ Trip string }
	remind   struct{ Trip, Which string }
	reminded struct{ Which string }
	reminder struct {
		Trip     string
		Booked   int
		Reminded []string
	}
)

func (booked) EventType() string     { return "booked" }
func (e booked) EventTags() []string { return []string{"trip:" + e.Trip} }
func (remind) CommandType() string   { return "remind" }
func (c remind) StreamID() string    { return c.Trip }
func (reminded) EventType() string   { return "reminded" }

const day = 24 * time.Hour

var reminders = sagas.Process[reminder]{
	Name: "reminder",
	Key:  eventstore.ByTag("trip"),
	Evolve: sagas.Evolve[reminder]{
		sagas.On(func(r *reminder, e booked) { r.Trip, r.Booked = e.Trip, r.Booked+1 }),
		sagas.On(func(r *reminder, e reminded) { r.Reminded = append(r.Reminded, e.Which) }),
	},
	React: sagas.Reactions[reminder]{
		sagas.Start(func(reminder, booked) sagas.Actions {
			return sagas.Actions{sagas.SetTimer("first", 7*day), sagas.SetTimer("last", 30*day), sagas.SetTimer("never", 8*day)}
		}),
		sagas.OnTimer("first", func(r reminder) sagas.Actions {
			return sagas.Actions{sagas.Send(remind{r.Trip, "first"}), sagas.SetTimer("second", 3*day), sagas.CancelTimer("never")}
		}),
		sagas.OnTimer("second", func(r reminder) sagas.Actions { return sagas.Actions{sagas.Send(remind{r.Trip, "second"})} }),
		sagas.OnTimer("last", func(r reminder) sagas.Actions { return sagas.Actions{sagas.Send(remind{r.Trip, "last"})} }),
		sagas.OnTimer("never", func(r reminder) sagas.Actions { return sagas.Actions{sagas.Send(remind{r.Trip, "never"})} }),
		sagas.When(func(_ reminder, e reminded) sagas.Actions {
			if e.Which == "last" {
				return sagas.Actions{sagas.Done()}
			}
			return nil
		}),
	},
	Sends: []spine.Command{remind{}},
}

var post = organs.Aggregate[bool]{Category: "letter", Decide: organs.Decide[bool]{
	organs.Handle(func(_ bool, c remind) (organs.Events, error) { return organs.Events{reminded{c.Which}}, nil }),
}}

// A seat is reserved at one office and given up at another, so that the one may hear of it after the other. Then a card is
// charged, which takes its time, and a parcel is sent, which is refused at first.
type (
	reserveSeat  struct{ Trip string }
	giveUpSeat   struct{ Trip string }
	sendParcel   struct{ Trip string }
	seatReserved struct{}
	seatGivenUp  struct{}
	parcelLost   struct{}
	parcelSent   struct{}
)

func (reserveSeat) CommandType() string { return "reserve seat" }
func (giveUpSeat) CommandType() string  { return "give up seat" }
func (sendParcel) CommandType() string  { return "send parcel" }
func (c reserveSeat) StreamID() string  { return c.Trip }
func (c giveUpSeat) StreamID() string   { return c.Trip }
func (c sendParcel) StreamID() string   { return c.Trip }
func (seatReserved) EventType() string  { return "seat reserved" }
func (seatGivenUp) EventType() string   { return "seat given up" }
func (parcelLost) EventType() string    { return "parcel lost" }
func (parcelSent) EventType() string    { return "parcel sent" }

var tours = sagas.Saga[trip]{
	Name:  "tour",
	Start: sagas.StartBy(func(c bookTrip) (trip, error) { return trip{ID: c.Trip}, nil }),
	Steps: sagas.Sequence[trip]{
		sagas.Step[trip]{
			ID:   "seat",
			Do:   sagas.Command(func(t trip) reserveSeat { return reserveSeat{t.ID} }),
			Undo: sagas.Command(func(t trip) giveUpSeat { return giveUpSeat{t.ID} }),
		},
		sagas.Pivot[trip]{
			ID: "charge",
			Do: sagas.Call(func(context.Context, trip, uuid.UUID) (cardCharged, error) {
				time.Sleep(time.Second) // in the bubble
				return cardCharged{"r1"}, nil
			}),
			On: sagas.Outcomes[trip]{sagas.Success(func(t *trip, e cardCharged) { t.Receipt = e.Receipt })},
		},
		sagas.Step[trip]{
			ID: "parcel",
			Do: sagas.Command(func(t trip) sendParcel { return sendParcel{t.ID} }),
			On: sagas.Outcomes[trip]{
				sagas.Success(func(*trip, parcelSent) {}),
				sagas.Refusal(func(*trip, parcelLost) {}),
			},
		},
	},
}

var offices = []spine.Organ{
	organs.Aggregate[bool]{Category: "reservation", Decide: organs.Decide[bool]{
		organs.Handle(func(bool, reserveSeat) (organs.Events, error) { return organs.Events{seatReserved{}}, nil }),
	}},
	organs.Aggregate[bool]{Category: "return", Decide: organs.Decide[bool]{
		organs.Handle(func(bool, giveUpSeat) (organs.Events, error) { return organs.Events{seatGivenUp{}}, nil }),
	}},
	organs.Aggregate[int]{
		Category: "parcel",
		Evolve:   organs.Evolve[int]{organs.On(func(n *int, _ parcelLost) { *n++ })},
		Decide: organs.Decide[int]{organs.Handle(func(n int, _ sendParcel) (organs.Events, error) {
			if n < 4 {
				return organs.Events{parcelLost{}}, nil
			}
			return organs.Events{parcelSent{}}, nil
		})},
	},
}

// A crash anywhere, two crashes anywhere, and deliveries that come twice or late: all end as without.
func TestCrashEverywhere(t *testing.T) {
	t.Parallel()
	happy := world{charge: func(uuid.UUID) (string, error) { return "r1", nil }}
	flaky := func() []spine.Organ {
		var n atomic.Int64
		return world{charge: func(uuid.UUID) (string, error) {
			if n.Add(1) < 2 {
				return "", errors.New("gateway timeout")
			}
			return "", sagas.Refuse(errors.New("no money"))
		}}.organs()
	}
	book := func(c spine.Command) func(context.Context, *spine.Spine) error {
		return func(ctx context.Context, sp *spine.Spine) error {
			_, err := sp.Send(ctx, c)
			return err
		}
	}
	events := []string{
		"flight booked", "flight cancelled", "room reserved", "room full", "room released", "card charged", "tickets issued",
		"tickets returned", "reminded", "seat reserved", "seat given up", "parcel lost", "parcel sent",
	}
	trips := ends(happy.saga().Instances, "42", events...)
	for name, s := range map[string]sagatest.Scenario{
		"a happy trip":   {Organs: happy.organs(), Play: book(bookTrip{"42"}), Result: trips},
		"a refused room": {Organs: world{noRoom: true}.organs(), Play: book(bookTrip{"42"}), Result: trips},
		"a timeout": {
			Organs: []spine.Organ{happy.organs()[0], deaf, happy.organs()[2], happy.organs()[3]},
			Play:   book(bookTrip{"42"}), Result: trips,
		},
		"a call that fails and then refuses": {Fresh: flaky, Play: book(bookTrip{"42"}), Result: trips},
		"a nested saga": {
			Organs: append(happy.organs(), holidays, insurances), Play: book(bookHoliday{"7"}),
			Result: ends(holidays.Instances, "7", events...),
		},
		"a nested saga that is compensated": {
			Organs: append(world{noRoom: true}.organs(), holidays, insurances), Play: book(bookHoliday{"7"}),
			Result: ends(holidays.Instances, "7", events...),
		},
		"a savepoint": {
			Organs: []spine.Organ{stays, happy.organs()[1], full(1), returnable}, Play: book(bookTrip{"42"}),
			Result: ends(stays.Instances, "42", events...),
		},
		"a savepoint in vain": {
			Organs: []spine.Organ{stays, happy.organs()[1], full(9), returnable}, Play: book(bookTrip{"42"}),
			Result: ends(stays.Instances, "42", events...),
		},
		"an organ that hears of an undoing first, and refusals past the pivot": {
			Organs: append([]spine.Organ{tours}, offices...), Play: book(bookTrip{"42"}), Result: ends(tours.Instances, "42", events...),
			Late: 60, // a late seat is one way among many
		},
		"a process with timers": {
			Organs: []spine.Organ{reminders, post},
			Play: func(ctx context.Context, sp *spine.Spine) error {
				_, err := sp.Emit(ctx, eventstore.Draft{Payload: booked{"42"}, ID: uuid.UUID{15: 1}})
				return err
			},
			Result: ends(reminders.Instances, "42", events...),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.Pairs, s.Late = math.MaxInt, cmp.Or(s.Late, 10) // it is one test of many
			sagatest.CrashEverywhere(t, s)
		})
	}
}
