package sagatest_test

import (
	"fmt"

	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/sagas/sagatest"
)

// In a test, t is its *testing.T. Here it is one that prints.
func Example() {
	t := &printer{}

	sagatest.Given(t, trips(nil)).
		WhenSent(BookTrip{"t1", "LIS"}).
		ThenSends(BookFlight{"t1", "LIS"}, ReserveRoom{"t1", "LIS"}).
		When(FlightBooked{"7A"}).
		WhenRefused("room", "fully booked").
		ThenSends(CancelFlight{"t1"}).
		WhenAccepted("flight").
		ThenIs(sagas.Completed) // but a refused room ends the trip

	fmt.Print(t.end())

	// Output:
	// step 4, when flight is accepted: it is
	//   want "completed"
	//   got  "compensated" (room: fully booked)
}

// Days take microseconds.
func ExampleRun_WhenPassed() {
	t := &printer{}

	sagatest.Given(t, reviews, TripEnded{"t1"}).
		ThenTimer("ask", 7*day).
		WhenPassed(7*day).
		ThenSends(RequestReview{"t1"}).
		ThenTimer("ask again", day) // but it is three days

	fmt.Print(t.end())

	// Output:
	// step 2, when 168h0m0s have passed: timer
	//   want ask again in 24h0m0s
	//   got  ask again in 72h0m0s
}
