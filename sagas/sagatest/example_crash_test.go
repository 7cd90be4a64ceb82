package sagatest_test

import (
	"context"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/sagas/sagatest"
	"github.com/necrostack/necrostack/spine"
)

// participants do what trips are made of.
func participants() []spine.Organ {
	return []spine.Organ{
		organs.Aggregate[bool]{Category: "flight", Decide: organs.Decide[bool]{
			organs.Handle(func(bool, BookFlight) (organs.Events, error) { return organs.Events{FlightBooked{"7A"}}, nil }),
			organs.Handle(func(bool, CancelFlight) (organs.Events, error) { return nil, nil }),
		}},
		organs.Aggregate[bool]{Category: "room", Decide: organs.Decide[bool]{
			organs.Handle(func(bool, ReserveRoom) (organs.Events, error) { return nil, nil }),
			organs.Handle(func(bool, ReleaseRoom) (organs.Events, error) { return nil, nil }),
		}},
		organs.Aggregate[bool]{Category: "ticket", Decide: organs.Decide[bool]{
			organs.Handle(func(bool, IssueTickets) (organs.Events, error) { return organs.Events{TicketsIssued{}}, nil }),
		}},
	}
}

// tripSurvives is a test of a whole trip: however it crashes, the card is charged for one key, and the trip ends as it should.
// It logs how many crashes it has survived.
func tripSurvives(t *testing.T) {
	var mu sync.Mutex // a call may be made twice at once: then its key is the same
	var charged map[uuid.UUID]bool
	sagatest.CrashEverywhere(t, sagatest.Scenario{
		Fresh: func() []spine.Organ {
			charged = map[uuid.UUID]bool{}
			return append(participants(), trips(func(key uuid.UUID) (string, error) {
				mu.Lock()
				defer mu.Unlock()
				charged[key] = true
				return "r1", nil
			}))
		},
		Play: func(ctx context.Context, sp *spine.Spine) error {
			_, err := sp.Send(ctx, BookTrip{"t1", "LIS"})
			return err
		},
		Result: func(ctx context.Context, st *eventstore.Store) (any, error) {
			trip, err := trips(nil).Instances(st).Show(ctx, "t1")
			return []any{trip.State, string(trip.Result), len(charged)}, err
		},
		Pairs: 50, Late: 50,
	})
}

// CrashEverywhere needs the *testing.T of a test.
func ExampleCrashEverywhere() {
	_ = func(t *testing.T) { tripSurvives(t) }
}
