package main

import (
	"fmt"
	"testing"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs/organstest"
	"github.com/necrostack/necrostack/spine"
)

func Example() {
	main()
	// Output:
	// ann has 10 points, <nil>
	// ann has 20 points, <nil>
	// bob has 0 points, book seat rejected: the seat is taken
	// ann has ["hamlet A1" "macbeth C3"], <nil>
	// 1 show seat booked {"Seat":"A1","Guest":"ann"} <nil>
	// 2 command command accepted {"Command":"release seat","Events":1} <nil>
	// 3 show seat freed {"Seat":"A1","Guest":"ann"} <nil>
	// 4 command book seat {"Show":"hamlet","Seat":"A1","Guest":"bob"} <nil>
	// 5 command command accepted {"Command":"book seat","Events":1} <nil>
	// 6 show seat booked {"Seat":"A1","Guest":"bob"} <nil>
}

func TestSeatIsNotGivenTwice(t *testing.T) {
	t.Parallel()
	organstest.Given(t, Shows, Booked{"A1", "ann"}).When(Book{"hamlet", "A1", "bob"}).ThenError(ErrTaken)
	organstest.Given(t, Shows, Booked{"A1", "ann"}, Freed{"A1", "ann"}).When(Book{"hamlet", "A1", "bob"}).Then(Booked{"A1", "bob"})
	organstest.Given(t, Shows).When(Release{"hamlet", "A1"}).ThenError(ErrFree)
}

func TestCommandFromTheLogThatIsRefusedIsAnsweredAndParksNothing(t *testing.T) {
	t.Parallel()
	sp := sent(t, Book{"hamlet", "A1", "ann"}, Release{"hamlet", "A1"}, Book{"hamlet", "A1", "eve"}) // eve is faster than bob
	if _, err := sp.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	var replies []spine.Rejected
	for e, err := range sp.Store().Read(t.Context(), eventstore.OfType(spine.Rejected{}.EventType()), eventstore.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		reply, err := eventstore.Decode[spine.Rejected](e)
		if err != nil {
			t.Fatal(err)
		}
		replies = append(replies, reply)
	}
	if len(replies) != 1 || replies[0].Reason != ErrTaken.Error() || sp.Stats().Parked != 0 {
		t.Errorf("replies are %+v, and %d events parked, want one reply that the seat is taken", replies, sp.Stats().Parked)
	}
}

func TestTicketThatIsReleasedIsGone(t *testing.T) {
	t.Parallel()
	sp := sent(t, Book{"hamlet", "A1", "ann"}, Book{"macbeth", "A1", "ann"}, Book{"hamlet", "A2", "bob"}, Release{"hamlet", "A1"})
	seats, err := TicketsOf(t.Context(), sp.Store(), "ann")
	if fmt.Sprint(seats) != "[macbeth A1]" || err != nil {
		t.Errorf("ann has %q, %v, want only macbeth A1", seats, err)
	}
}

// sent is a Spine that has decided these commands.
func sent(t *testing.T, commands ...spine.Command) *spine.Spine {
	t.Helper()
	sp, err := spine.New(memory.Open(memory.Config{}), spine.Config{}, Shows, Standby("bob"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range commands {
		if _, err := sp.Send(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	return sp
}
