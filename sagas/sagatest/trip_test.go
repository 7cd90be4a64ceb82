package sagatest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A trip is a flight and a room, at once, then the card is charged, then there are tickets.
type (
	BookTrip     struct{ Trip, City string }
	BookFlight   struct{ Trip, To string }
	CancelFlight struct{ Trip string }
	ReserveRoom  struct{ Trip, City string }
	ReleaseRoom  struct{ Trip string }
	IssueTickets struct{ Trip string }

	FlightBooked  struct{ Seat string }
	FlightFull    struct{ Date string }
	CardCharged   struct{ Receipt string }
	TicketsIssued struct{}

	Trip struct{ ID, City, Seat, Receipt string }
)

func (BookTrip) CommandType() string     { return "book trip" }
func (BookFlight) CommandType() string   { return "book flight" }
func (CancelFlight) CommandType() string { return "cancel flight" }
func (ReserveRoom) CommandType() string  { return "reserve room" }
func (ReleaseRoom) CommandType() string  { return "release room" }
func (IssueTickets) CommandType() string { return "issue tickets" }

func (c BookTrip) StreamID() string     { return c.Trip }
func (c BookFlight) StreamID() string   { return c.Trip }
func (c CancelFlight) StreamID() string { return c.Trip }
func (c ReserveRoom) StreamID() string  { return c.Trip }
func (c ReleaseRoom) StreamID() string  { return c.Trip }
func (c IssueTickets) StreamID() string { return c.Trip }

func (FlightBooked) EventType() string  { return "flight booked" }
func (FlightFull) EventType() string    { return "flight full" }
func (CardCharged) EventType() string   { return "card charged" }
func (TicketsIssued) EventType() string { return "tickets issued" }

var errNowhere = errors.New("a trip goes somewhere")

// Cards charges cards, once for each key.
type Cards func(key uuid.UUID) (receipt string, err error)

// trips books a flight and a room at once, charges the card, and goes on to the end from there.
func trips(charge Cards) sagas.Saga[Trip] {
	return sagas.Saga[Trip]{
		Name: "trip",
		Start: sagas.StartBy(func(c BookTrip) (Trip, error) {
			if c.City == "" {
				return Trip{}, errNowhere
			}
			return Trip{ID: c.Trip, City: c.City}, nil
		}),
		Steps: sagas.Sequence[Trip]{
			sagas.Parallel[Trip]{
				{
					ID:   "flight",
					Do:   sagas.Command(func(t Trip) BookFlight { return BookFlight{t.ID, t.City} }),
					Undo: sagas.Command(func(t Trip) CancelFlight { return CancelFlight{t.ID} }),
					On: sagas.Outcomes[Trip]{
						sagas.Success(func(t *Trip, e FlightBooked) { t.Seat = e.Seat }),
						sagas.Refusal(func(*Trip, FlightFull) {}),
					},
					Timeout: time.Minute,
				},
				{
					ID:   "room",
					Do:   sagas.Command(func(t Trip) ReserveRoom { return ReserveRoom{t.ID, t.City} }),
					Undo: sagas.Command(func(t Trip) ReleaseRoom { return ReleaseRoom{t.ID} }),
				},
			},
			sagas.Pivot[Trip]{
				ID: "charge",
				Do: sagas.Call(func(_ context.Context, _ Trip, id uuid.UUID) (CardCharged, error) {
					receipt, err := charge(id)
					return CardCharged{receipt}, err
				}),
				On: sagas.Outcomes[Trip]{sagas.Success(func(t *Trip, e CardCharged) { t.Receipt = e.Receipt })},
			},
			sagas.Step[Trip]{ID: "tickets", Do: sagas.Command(func(t Trip) IssueTickets { return IssueTickets{t.ID} })},
		},
		Deadline: 24 * time.Hour,
	}
}

// A review is asked for a week after the trip, and once more three days later.
type (
	TripEnded      struct{ Trip string }
	ReviewReceived struct{ Trip string }
	RequestReview  struct{ Trip string }
	Remembered     struct {
		Trip  string
		Asked int
	}
)

func (TripEnded) EventType() string          { return "trip ended" }
func (ReviewReceived) EventType() string     { return "review received" }
func (e TripEnded) EventTags() []string      { return []string{"trip:" + e.Trip} }
func (e ReviewReceived) EventTags() []string { return []string{"trip:" + e.Trip} }
func (RequestReview) CommandType() string    { return "request review" }
func (c RequestReview) StreamID() string     { return c.Trip }

const day = 24 * time.Hour

var reviews = sagas.Process[Remembered]{
	Name: "review",
	Key:  eventstore.ByTag("trip"),
	Evolve: sagas.Evolve[Remembered]{
		sagas.On(func(r *Remembered, e TripEnded) { r.Trip = e.Trip }),
		sagas.On(func(r *Remembered, _ spine.Accepted) { r.Asked++ }),
	},
	React: sagas.Reactions[Remembered]{
		sagas.Start(func(Remembered, TripEnded) sagas.Actions { return sagas.Actions{sagas.SetTimer("ask", 7*day)} }),
		sagas.OnTimer("ask", func(r Remembered) sagas.Actions {
			return sagas.Actions{sagas.Send(RequestReview{r.Trip}), sagas.SetTimer("ask again", 3*day)}
		}),
		sagas.OnTimer("ask again", func(r Remembered) sagas.Actions {
			return sagas.Actions{sagas.Send(RequestReview{r.Trip}), sagas.Done()}
		}),
		sagas.When(func(Remembered, ReviewReceived) sagas.Actions { return sagas.Actions{sagas.Done()} }),
		sagas.When(func(Remembered, spine.Rejected) sagas.Actions { return sagas.Actions{sagas.Done()} }),
	},
	Sends: []spine.Command{RequestReview{}},
}

// printer is a test that prints what fails.
type printer struct {
	testing.TB
	text string
	ends []func()
}

func (*printer) Helper()            {}
func (p *printer) Cleanup(f func()) { p.ends = append(p.ends, f) }
func (p *printer) Errorf(format string, args ...any) {
	p.text += fmt.Sprintf(format, args...) + "\n"
}

func (p *printer) end() string {
	for _, f := range p.ends {
		f()
	}
	return p.text
}
