package trip_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/travel/trip"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/sagas/sagatest"
	"github.com/necrostack/necrostack/spine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var lisbon = trip.BookTrip{Trip: "t1", From: "BER", To: "LIS", Card: "4242"}

func TestRefusedHotelHasFlightAndCarUndone(t *testing.T) {
	t.Parallel()
	sagatest.Given(t, trip.Saga(nil, time.Second)).
		WhenSent(lisbon).
		ThenCalls(trip.Flight, trip.Hotel, trip.Car).
		WhenAnswered(trip.Flight, trip.FlightBooked{Reference: "F1"}).
		WhenRefused(trip.Hotel, "no room").
		ThenSendsNothing(). // the car may still come
		WhenAnswered(trip.Car, trip.CarRented{Reference: "C1"}).
		ThenCalls("undo "+trip.Flight, "undo "+trip.Car).
		WhenAccepted(trip.Flight).
		WhenAccepted(trip.Car).
		ThenReason("hotel: no room").
		ThenIs(sagas.Compensated)
}

func TestChargeThatNobodyHasHeardOfIsNeitherUndoneNorTakenForFailed(t *testing.T) {
	t.Parallel()
	sagatest.Given(t, trip.Saga(nil, time.Second)).
		WhenSent(lisbon).
		WhenAnswered(trip.Flight, trip.FlightBooked{Reference: "F1"}).
		WhenAnswered(trip.Hotel, trip.RoomReserved{Reference: "H1"}).
		WhenAnswered(trip.Car, trip.CarRented{Reference: "C1"}).
		ThenCalls(trip.Charge).
		WhenTimedOut(trip.Charge).
		WhenPassed(25*time.Hour). // the deadline is long over
		ThenIs(sagas.Running).
		WhenAnswered(trip.Charge, trip.CardCharged{Receipt: "R1"}).
		ThenSends(trip.IssueTickets{Trip: "t1", Flight: "F1"}).
		ThenIs(sagas.ForwardOnly)
}

func TestReviewIsAskedForTwiceAtMost(t *testing.T) {
	t.Parallel()
	sagatest.Given(t, trip.Review(), trip.TravellerTold{Trip: "t1"}).
		ThenTimer("ask", trip.Week).
		WhenPassed(trip.Week).
		ThenSends(trip.RequestReview{Trip: "t1"}).
		WhenPassed(trip.Week).
		ThenSends(trip.RequestReview{Trip: "t1"}).
		ThenIs(sagas.Completed)
}

// outside is a service that remembers what it was asked for, by key, as long as a scenario runs.
type outside struct {
	mu       sync.Mutex
	orders   map[uuid.UUID]string
	cancels  map[uuid.UUID]bool
	refusing bool
}

func (o *outside) Order(_ context.Context, trip, wants string, key uuid.UUID) (string, error) {
	if o.refusing {
		return "", sagas.Refuse(errors.New("no"))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.orders[key] = wants
	return trip, nil
}

func (o *outside) Cancel(_ context.Context, _ string, key uuid.UUID) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cancels[key] = true
	return nil
}

// Whatever crashes, each service has one order, and one cancellation if the trip is undone.
func TestTripSurvivesACrashAnywhere(t *testing.T) {
	t.Parallel()
	for _, refusing := range []string{"", trip.Hotel} {
		t.Run("refusing "+refusing, func(t *testing.T) {
			t.Parallel()
			var all map[string]*outside
			sagatest.CrashEverywhere(t, sagatest.Scenario{
				Fresh: func() []spine.Organ {
					all = map[string]*outside{}
					services := trip.Services{}
					for _, name := range trip.Steps() {
						all[name] = &outside{orders: map[uuid.UUID]string{}, cancels: map[uuid.UUID]bool{}, refusing: name == refusing}
						services[name] = all[name]
					}
					return []spine.Organ{trip.Saga(services, time.Second), trip.Issuer(true)}
				},
				Play: func(ctx context.Context, sp *spine.Spine) error {
					_, err := sp.Send(ctx, spine.WithID(uuid.NewSHA1(uuid.Nil, []byte("t1")), lisbon))
					return err
				},
				Result: func(ctx context.Context, store *eventstore.Store) (any, error) {
					told, err := trip.Saga(nil, time.Second).Instances(store).Show(ctx, "t1")
					held := map[string][2]int{}
					for name, o := range all {
						held[name] = [2]int{len(o.orders), len(o.cancels)}
					}
					return []any{told.State, held}, err
				},
				Pairs: 20, Late: 20,
			})
		})
	}
}

func TestStepsAreTheSagas(t *testing.T) {
	t.Parallel()
	var ids []string
	for _, n := range trip.Saga(nil, time.Second).Steps {
		switch n := n.(type) {
		case sagas.Parallel[trip.Trip]:
			for _, st := range n {
				ids = append(ids, st.ID)
			}
		case sagas.Pivot[trip.Trip]:
			ids = append(ids, n.ID)
		case sagas.Step[trip.Trip]:
			ids = append(ids, n.ID)
		}
	}
	if !slices.Equal(ids, trip.Steps()) {
		t.Errorf("Steps is %v, and the saga's are %v", trip.Steps(), ids)
	}
}
