package sagatest_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/sagas/sagatest"
)

var lisbon = BookTrip{"t1", "LIS"}

// booked is a trip whose flight is booked and whose room is reserved.
func booked(t testing.TB) *sagatest.Run[Trip] {
	t.Helper()
	return sagatest.Given(t, trips(nil)).WhenSent(lisbon).When(FlightBooked{"7A"}).WhenAccepted("room")
}

func TestATripIsBooked(t *testing.T) {
	t.Parallel()
	sagatest.Given(t, trips(nil)).
		ThenIs("").
		WhenSent(lisbon).
		ThenSends(BookFlight{"t1", "LIS"}, ReserveRoom{"t1", "LIS"}).ThenCalls().ThenIs(sagas.Running).
		ThenTimer("flight", time.Minute).ThenTimer("room", 30*time.Second).ThenTimer("deadline", day).
		When(FlightBooked{"7A"}).
		ThenSendsNothing().ThenNoTimer("flight").
		WhenAccepted("room").
		ThenSends().ThenCalls("charge").ThenIs(sagas.Running).
		When(CardCharged{"r1"}).
		ThenSends(IssueTickets{"t1"}).ThenIs(sagas.ForwardOnly).ThenNoTimer("deadline").
		WhenAccepted("tickets").
		ThenSendsNothing().ThenIs(sagas.Completed).
		ThenState(Trip{"t1", "LIS", "7A", "r1"})
}

func TestARefusedRoomCancelsTheFlight(t *testing.T) {
	t.Parallel()
	sagatest.Given(t, trips(nil)).
		WhenSent(lisbon).
		When(FlightBooked{"7A"}).
		WhenRefused("room", "fully booked").
		ThenSends(CancelFlight{"t1"}).ThenIs(sagas.Compensating).ThenReason("fully booked").
		WhenAccepted("flight").
		ThenSendsNothing().ThenIs(sagas.Compensated)
}

func TestAListedRefusalTurnsBack(t *testing.T) {
	t.Parallel()
	sagatest.Given(t, trips(nil)).
		WhenSent(lisbon).
		WhenAccepted("room").
		When(FlightFull{"today"}).
		ThenSends(ReleaseRoom{"t1"}).ThenReason("flight full")
}

func TestAnUnknownOutcomeIsUndone(t *testing.T) {
	t.Parallel()
	sagatest.Given(t, trips(nil)).
		WhenSent(lisbon).
		WhenAccepted("room").
		WhenTimedOut("flight").ThenTimer("flight", time.Second).ThenSendsNothing().
		WhenPassed(time.Second).ThenSends(BookFlight{"t1", "LIS"}).
		WhenTimedOut("flight").WhenPassed(2*time.Second).
		WhenTimedOut("flight").
		ThenSends(CancelFlight{"t1"}, ReleaseRoom{"t1"}).ThenIs(sagas.Compensating).
		WhenAnswered("flight", FlightBooked{"late"}).
		ThenSendsNothing().ThenIs(sagas.Compensating).
		WhenAccepted("flight").WhenAccepted("room").
		ThenIs(sagas.Compensated)
}

func TestACallThatFailsIsMadeAgain(t *testing.T) {
	t.Parallel()
	booked(t).
		WhenFailed("charge", "gateway timeout").ThenSendsNothing().ThenTimer("charge", time.Second).
		WhenPassed(time.Second).ThenCalls("charge").
		WhenRefused("charge", "no money").
		ThenSends(CancelFlight{"t1"}, ReleaseRoom{"t1"}).
		WhenAccepted("room").WhenAccepted("flight").
		ThenIs(sagas.Compensated).ThenReason("no money")
}

func TestTheDeadlineTurnsBack(t *testing.T) {
	t.Parallel()
	saga := trips(nil)
	saga.Deadline = 10 * time.Second
	sagatest.Given(t, saga).
		WhenSent(lisbon).
		When(FlightBooked{"7A"}).
		WhenPassed(9*time.Second).ThenIs(sagas.Running).ThenTimer("deadline", time.Second).
		WhenPassed(time.Second).ThenIs(sagas.Compensating).
		ThenSends(CancelFlight{"t1"}). // what is under way is waited for, then undone
		WhenAccepted("room").ThenSends(ReleaseRoom{"t1"})
}

func TestAnOperatorHelps(t *testing.T) {
	t.Parallel()
	saga := trips(nil)
	saga.Steps[0].(sagas.Parallel[Trip])[0].UndoRetry.Attempts = 1
	stuck := func() *sagatest.Run[Trip] {
		return sagatest.Given(t, saga).WhenSent(lisbon).When(FlightBooked{"7A"}).WhenRefused("room", "full").
			WhenRefused("flight", "too late").ThenIs(sagas.UndoStuck).ThenReason("too late")
	}
	stuck().WhenRetried().ThenSends(CancelFlight{"t1"}).WhenAccepted("flight").ThenIs(sagas.Compensated)
	stuck().WhenSkipped("flight").ThenIs(sagas.Compensated)
	stuck().WhenSkipped("room").ThenError(sagas.ErrNotNow).ThenIs(sagas.UndoStuck)
	booked(t).WhenSuspended().When(CardCharged{"r1"}).ThenSendsNothing().ThenIs(sagas.Suspended).
		WhenResumed().ThenSends(IssueTickets{"t1"})
	booked(t).WhenCancelled().ThenError(sagas.ErrNotNow)
	sagatest.Given(t, saga).WhenSent(lisbon).WhenAccepted("room").WhenCancelled().ThenSends(ReleaseRoom{"t1"}).
		When(FlightBooked{"7A"}).ThenSends(CancelFlight{"t1"}).
		WhenAccepted("flight").WhenAccepted("room").ThenIs(sagas.Cancelled)
	sagatest.Given(t, saga).WhenCancelled().ThenError(sagas.ErrNoInstance)
}

func TestARefusedStartIsAskedFor(t *testing.T) {
	t.Parallel()
	sagatest.Given(t, trips(nil)).WhenSent(BookTrip{"t1", ""}).ThenError(errNowhere).ThenIs("")
	booked(t).WhenSent(lisbon).ThenError(sagas.ErrBegun).ThenIs(sagas.Running)
}

func TestAReviewIsAskedForAfterAWeek(t *testing.T) {
	t.Parallel()
	sagatest.Given(t, reviews, TripEnded{"t1"}).
		ThenTimer("ask", 7*day).ThenSendsNothing().
		WhenPassed(7*day).
		ThenSends(RequestReview{"t1"}).ThenTimer("ask again", 3*day).ThenNoTimer("ask").
		WhenAccepted("request review").
		ThenState(Remembered{"t1", 1}).
		WhenPassed(3 * day).
		ThenSends(RequestReview{"t1"}).ThenIs(sagas.Completed)
}

func TestWhatFallsDueIsDoneInItsOrder(t *testing.T) {
	t.Parallel()
	sagatest.Given(t, reviews, TripEnded{"t1"}).
		WhenPassed(365*day).
		ThenSends(RequestReview{"t1"}, RequestReview{"t1"}).ThenIs(sagas.Completed)
}

func TestAReviewEndsTheAsking(t *testing.T) {
	t.Parallel()
	sagatest.Given(t, reviews, TripEnded{"t1"}).
		When(ReviewReceived{"t1"}).ThenIs(sagas.Completed).ThenNoTimer("ask").
		WhenPassed(30 * day).ThenSendsNothing()
	sagatest.Given(t, reviews, TripEnded{"t1"}).
		WhenPassed(7*day).WhenRefused("request review", "no such guest").ThenIs(sagas.Completed).ThenNoTimer("ask again")
	sagatest.Given(t, reviews, TripEnded{"t1"}).WhenCancelled().ThenIs(sagas.Cancelled)
	sagatest.Given(t, reviews, ReviewReceived{"t1"}).ThenIs("")
	strict := reviews
	strict.Missing = sagas.MissingPark
	sagatest.Given(t, strict).When(ReviewReceived{"t1"}).ThenError(sagas.ErrMissing)
}

// A failure says at which step of the chain, what was wanted and what there was.
func TestFailuresAreReadable(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		run  func(t testing.TB)
		want []string
	}{
		{"commands", func(t testing.TB) {
			sagatest.Given(t, trips(nil)).WhenSent(lisbon).ThenSends(BookFlight{"t1", "OPO"}).ThenIs(sagas.Completed)
		}, []string{"step 1, when sent sagatest_test.BookTrip{Trip:t1 City:LIS}: commands", "OPO", "LIS", "ReserveRoom"}},
		{"calls", func(t testing.TB) { booked(t).ThenCalls() }, []string{"step 3, when room is accepted: calls of steps", "want none", "got  charge"}},
		{"nothing", func(t testing.TB) { booked(t).ThenSendsNothing() }, []string{"calls of steps"}},
		{"timer", func(t testing.TB) { sagatest.Given(t, reviews, TripEnded{"t1"}).ThenTimer("ask", day) }, []string{"want ask in 24h", "got  ask in 168h"}},
		{"no timer", func(t testing.TB) { sagatest.Given(t, reviews, TripEnded{"t1"}).ThenNoTimer("ask") }, []string{"want no ask", "got  ask in 168h"}},
		{"state", func(t testing.TB) { booked(t).ThenState(Trip{ID: "t1", City: "LIS"}) }, []string{"Seat", `"7A"`}},
		{"no state", func(t testing.TB) { sagatest.Given(t, trips(nil)).ThenState(Trip{}) }, []string{"there is no such instance"}},
		{"is", func(t testing.TB) { booked(t).ThenIs(sagas.Completed) }, []string{`want "completed"`, `got  "running"`}},
		{"reason", func(t testing.TB) { booked(t).ThenReason("fog") }, []string{`want "fog" in it`}},
		{"error", func(t testing.TB) { booked(t).WhenRetried().ThenError(sagas.ErrBegun) }, []string{"want has begun already", "got  not in this state: it is running"}},
		{"no error", func(t testing.TB) { booked(t).ThenError(sagas.ErrBegun) }, []string{"got  <nil>"}},
		{"error that nobody asks for", func(t testing.TB) { booked(t).WhenSent(lisbon) }, []string{"step 4", "has begun already"}},
		{"error that nobody asks for in time", func(t testing.TB) { booked(t).WhenSent(lisbon).WhenAccepted("room").ThenError(sagas.ErrBegun) }, []string{"step 4"}},
		{"nobody waits", func(t testing.TB) { booked(t).When(FlightBooked{"8B"}) }, []string{"no step waits for flight booked", `under way are ["charge"]`}},
		{"not begun", func(t testing.TB) { sagatest.Given(t, trips(nil)).When(FlightBooked{"8B"}) }, []string{"has not begun"}},
		{"not begun step", func(t testing.TB) { booked(t).WhenAccepted("tickets") }, []string{`step "tickets" has not begun`}},
		{"no step", func(t testing.TB) { booked(t).WhenAccepted("boat") }, []string{`no step "boat"`}},
		{"accepted is no outcome", func(t testing.TB) { booked(t).WhenAccepted("charge") }, []string{"lists its outcomes"}},
		{"no call", func(t testing.TB) { booked(t).WhenFailed("room", "x") }, []string{"makes no call"}},
		{"no time limit", func(t testing.TB) { booked(t).WhenTimedOut("room") }, []string{"no attempt under way", "charge in 30s"}},
		{"not its command", func(t testing.TB) { booked(t).WhenSent(BookFlight{}) }, []string{"book flight begins no instance"}},
		{"another instance", func(t testing.TB) { sagatest.Given(t, reviews, TripEnded{"t1"}, ReviewReceived{"t2"}) }, []string{`belongs to ["t2"], and not to "t1"`}},
		{"no key", func(t testing.TB) { sagatest.Given(t, reviews, TripEnded{}) }, []string{"instance"}},
		{"stranger", func(t testing.TB) { sagatest.Given(t, reviews, CardCharged{}) }, []string{"neither folds card charged nor reacts to it"}},
		{"not sent", func(t testing.TB) {
			sagatest.Given(t, reviews, TripEnded{"t1"}).WhenAccepted("request review")
		}, []string{"has sent no request review"}},
		{"steps of a process", func(t testing.TB) { sagatest.Given(t, reviews, TripEnded{"t1"}).WhenFailed("x", "y") }, []string{"a process has no steps"}},
		{"definition", func(t testing.TB) { sagatest.Given(t, sagas.Saga[Trip]{Name: "trip"}).WhenSent(lisbon).ThenIs("") }, []string{"step 0", "there are no steps"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := &printer{}
			tt.run(p)
			got := p.end()
			if strings.Count(got, "step ") < 1 || strings.Count("\n"+got, "\nstep ") != 1 {
				t.Errorf("failures:\n%s\nwant one", got)
			}
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("failure:\n%s\nwant %q in it", got, want)
				}
			}
		})
	}
}

func TestAnEventThatTwoStepsAwaitIsAmbiguous(t *testing.T) {
	t.Parallel()
	saga := trips(nil)
	group := saga.Steps[0].(sagas.Parallel[Trip])
	group[1].On = sagas.Outcomes[Trip]{sagas.Success(func(*Trip, FlightBooked) {})}
	p := &printer{}
	sagatest.Given(p, saga).WhenSent(lisbon).When(FlightBooked{"7A"})
	if got := p.end(); !strings.Contains(got, `["flight" "room"]`) {
		t.Errorf("failure: %q, want both steps in it", got)
	}
	sagatest.Given(t, saga).WhenSent(lisbon).WhenAnswered("room", FlightBooked{"7A"}).WhenAnswered("flight", FlightBooked{"7A"}).
		ThenCalls("charge")
}

func TestATripSurvivesACrashAnywhere(t *testing.T) {
	t.Parallel()
	tripSurvives(t)
}

func BenchmarkCase(b *testing.B) {
	p := &printer{}
	for b.Loop() {
		sagatest.Given(p, trips(nil)).
			WhenSent(lisbon).
			ThenSends(BookFlight{"t1", "LIS"}, ReserveRoom{"t1", "LIS"}).
			When(FlightBooked{"7A"}).
			WhenRefused("room", "fully booked").
			ThenSends(CancelFlight{"t1"}).
			WhenAccepted("flight").
			ThenIs(sagas.Compensated)
		p.end()
		p.ends = p.ends[:0]
	}
	if p.text != "" {
		b.Fatal(errors.New(p.text))
	}
}
