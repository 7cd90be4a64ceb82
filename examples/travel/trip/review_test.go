package trip_test

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/travel/trip"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

// asked drives the process manager on a virtual clock, from due time to due time, so that weeks take no time. It returns how long
// after the beginning a review was asked for. One comes after some time; never, if that is zero.
func asked(t *testing.T, comes time.Duration) (after []time.Duration, told sagas.Timeline) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store := memory.Open(memory.Config{})
		defer store.Close()
		sp, err := spine.New(store, spine.Config{Logger: slog.New(slog.DiscardHandler)}, trip.Review(), trip.Letters())
		if err != nil {
			t.Fatal(err)
		}
		emit := func(e eventstore.Payload) {
			if _, err := sp.Emit(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		begun := time.Now()
		for range 2 { // it is told twice: once is enough
			emit(trip.TravellerTold{Trip: "t1", Reference: "NO-t1"})
		}
		drive(t, sp, comes)
		if comes > 0 {
			emit(trip.ReviewReceived{Trip: "t1"})
		}
		drive(t, sp, 52*trip.Week)
		for ev, err := range store.Read(t.Context(), eventstore.OfType(trip.ReviewRequested{}.EventType()), eventstore.Range{}) {
			if err != nil {
				t.Fatal(err)
			}
			after = append(after, ev.Time.Sub(begun).Round(time.Minute))
		}
		if told, err = trip.Review().Instances(store).Show(t.Context(), "t1"); err != nil {
			t.Error(err)
		}
	})
	return after, told
}

// drive has what is due in a time happen, each when it is due, and ends at the end of that time.
func drive(t *testing.T, sp *spine.Spine, during time.Duration) {
	t.Helper()
	end := time.Now().Add(during)
	for {
		next, err := sp.Drain(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if next.IsZero() || next.After(end) {
			break
		}
		<-time.After(time.Until(next))
	}
	<-time.After(time.Until(end))
}

func TestReviewIsAskedForAfterAWeekAndOnceMoreAfterAnother(t *testing.T) {
	t.Parallel()
	after, told := asked(t, 0)
	if len(after) != 2 || after[0] != trip.Week || after[1] != 2*trip.Week {
		t.Errorf("asked for after %v, want %s and %s", after, trip.Week, 2*trip.Week)
	}
	if told.State != sagas.Completed {
		t.Errorf("want %s:\n%s", sagas.Completed, told)
	}
}

func TestReviewThatHasComeIsNotAskedFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		comes time.Duration
		want  int
	}{
		"at once": {time.Hour, 0}, "between": {trip.Week + time.Hour, 1}, "too late": {3 * trip.Week, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			after, told := asked(t, c.comes)
			if len(after) != c.want || told.State != sagas.Completed {
				t.Errorf("asked for after %v, want %d times:\n%s", after, c.want, told)
			}
		})
	}
}
