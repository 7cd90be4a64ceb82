package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

// A journey is a flight and a room, a car that a service rents out, money, and tickets. What comes of it depends on its
// number alone.
type (
	travel struct{ N int }
	book   struct {
		N    int
		What string
	}
	unbook struct {
		N    int
		What string
	}
	booked struct {
		N    int
		What string
	}
	unbooked struct {
		N    int
		What string
	}
	overheard struct{ N int }
	rented    struct{ N int }
	returned  struct{ N int }
	journey   struct {
		N    int
		Have []string
	}
)

func (travel) CommandType() string  { return "travel" }
func (book) CommandType() string    { return "book" }
func (unbook) CommandType() string  { return "unbook" }
func (c travel) StreamID() string   { return fmt.Sprint(c.N) }
func (c book) StreamID() string     { return fmt.Sprint(c.N, " ", c.What) }
func (c unbook) StreamID() string   { return fmt.Sprint(c.N, " ", c.What) }
func (booked) EventType() string    { return "booked" }
func (unbooked) EventType() string  { return "unbooked" }
func (overheard) EventType() string { return "overheard" }
func (rented) EventType() string    { return "rented" }
func (returned) EventType() string  { return "returned" }

var errSoldOut = errors.New("sold out")

// journeyOrgans are the saga and those who take part. Of ten journeys one finds no room, for one there is no money, one
// never hears of its flight, one gets no car, and one has the car but no seats. Any may give its flight up, if nobody works
// for a while.
func journeyOrgans() []spine.Organ {
	clerks := organs.Aggregate[bool]{
		Category: "booking",
		Evolve: organs.Evolve[bool]{
			organs.On(func(b *bool, _ booked) { *b = true }),
			organs.On(func(b *bool, _ unbooked) { *b = false }),
		},
		Decide: organs.Decide[bool]{
			organs.Handle(func(have bool, c book) (organs.Events, error) {
				switch n := c.N % 10; {
				case have:
					return nil, fmt.Errorf("%s of %d is booked twice", c.What, c.N)
				case n == 0 && c.What == "room", n == 1 && c.What == "money", n == 4 && c.What == "seats":
					return nil, errSoldOut
				case n == 2 && c.What == "flight":
					return organs.Events{overheard{c.N}}, nil
				}
				return organs.Events{booked(c)}, nil
			}),
			organs.Handle(func(have bool, c unbook) (organs.Events, error) {
				if !have {
					return nil, nil
				}
				return organs.Events{unbooked(c)}, nil
			}),
		},
	}
	return []spine.Organ{journeys(), clerks}
}

func journeys() sagas.Saga[journey] {
	step := func(what string) sagas.Step[journey] {
		return sagas.Step[journey]{
			ID:      what,
			Do:      sagas.Command(func(j journey) book { return book{j.N, what} }),
			Undo:    sagas.Command(func(j journey) unbook { return unbook{j.N, what} }),
			On:      sagas.Outcomes[journey]{sagas.Success(func(j *journey, e booked) { j.Have = append(j.Have, e.What) })},
			Timeout: 10 * time.Minute,
		}
	}
	once := func(what string) sagas.Step[journey] {
		s := step(what)
		s.Undo = sagas.Action[journey]{}
		return s
	}
	flight := step("flight")
	flight.Timeout, flight.Retry = 2*time.Second, sagas.Retry{Attempts: 2, Base: 200 * time.Millisecond}
	car := sagas.Step[journey]{
		ID: "car",
		Do: sagas.Call(func(_ context.Context, j journey, _ uuid.UUID) (rented, error) {
			if j.N%10 == 3 {
				return rented{}, sagas.Refuse(errSoldOut)
			}
			return rented{j.N}, nil
		}),
		Undo:    sagas.Call(func(_ context.Context, j journey, _ uuid.UUID) (returned, error) { return returned{j.N}, nil }),
		Timeout: 5 * time.Second, // a call whose process was killed is made again
		Retry:   sagas.Retry{Attempts: 20}, UndoRetry: sagas.Retry{Attempts: -1},
	}
	return sagas.Saga[journey]{
		Name:  "journey",
		Start: sagas.StartBy(func(c travel) (journey, error) { return journey{N: c.N}, nil }),
		Steps: sagas.Sequence[journey]{
			sagas.Parallel[journey]{flight, step("room")},
			car, step("seats"), sagas.Pivot[journey](once("money")), once("tickets"),
		},
	}
}
