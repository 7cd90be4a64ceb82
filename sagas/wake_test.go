package sagas_test

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

// A log keeps microseconds: a timer that is set to a fraction of one must not fire before that, and then again and again.
func TestATimerFiresOnceHoweverFineItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := memory.Open(memory.Config{})
		defer st.Close()
		saga := sagas.Saga[trip]{
			Name:  "fine",
			Start: sagas.StartBy(func(c bookTrip) (trip, error) { return trip{ID: c.Trip}, nil }),
			Steps: sagas.Sequence[trip]{sagas.Step[trip]{
				ID: "flight", Do: sagas.Command(func(t trip) bookFlight { return bookFlight{t.ID} }),
				On:      sagas.Outcomes[trip]{sagas.Success(func(*trip, flightBooked) {})},
				Timeout: time.Second + time.Nanosecond, Retry: sagas.Retry{Attempts: 1},
			}},
		}
		deaf := organs.Aggregate[bool]{Category: "flight", Decide: organs.Decide[bool]{
			organs.Handle(func(bool, bookFlight) (organs.Events, error) { return nil, nil }),
		}}
		sp, err := spine.New(st, spine.Config{Logger: slog.New(slog.DiscardHandler), MaxSteps: 100}, saga, deaf)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sp.Send(t.Context(), bookTrip{"42"}); err != nil {
			t.Fatal(err)
		}
		for next := time.Now(); !next.IsZero(); {
			time.Sleep(time.Until(next))
			if next, err = sp.Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		woken := 0
		for _, err := range st.Read(t.Context(), eventstore.OfType("saga woken"), eventstore.Range{}) {
			if err != nil {
				t.Fatal(err)
			}
			woken++
		}
		if woken != 1 {
			t.Errorf("woken %d times, want once", woken)
		}
	})
}
