package trip

import (
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

// Week is how long a traveller has before a review is asked for, and again before it is asked for once more.
const Week = 7 * 24 * time.Hour

// RequestReview asks a traveller for a review. It comes through the log.
type RequestReview struct{ Trip string }

// ReviewRequested is what comes of it.
type ReviewRequested struct{ Trip string }

// ReviewReceived ends the waiting, whenever it comes.
type ReviewReceived struct{ Trip string }

// Waiting is what Review remembers.
type Waiting struct{ Trip string }

// Review asks for a review a week after the traveller was told of a trip, and once more after another week, unless there is
// one. It is a process manager: it has no steps, only events that it reacts to.
func Review() sagas.Process[Waiting] {
	ask := func(w Waiting) sagas.Act { return sagas.Send(RequestReview(w)) }
	return sagas.Process[Waiting]{
		Name: "review",
		Key:  eventstore.ByTag("trip"),
		Evolve: sagas.Evolve[Waiting]{
			sagas.On(func(w *Waiting, e TravellerTold) { w.Trip = e.Trip }),
		},
		React: sagas.Reactions[Waiting]{
			sagas.Start(func(Waiting, TravellerTold) sagas.Actions {
				return sagas.Actions{sagas.SetTimer("ask", Week), sagas.SetTimer("ask again", 2*Week)}
			}),
			sagas.When(func(Waiting, ReviewReceived) sagas.Actions { return sagas.Actions{sagas.Done()} }),
			sagas.OnTimer("ask", func(w Waiting) sagas.Actions { return sagas.Actions{ask(w)} }),
			sagas.OnTimer("ask again", func(w Waiting) sagas.Actions { return sagas.Actions{ask(w), sagas.Done()} }),
		},
		Sends: []spine.Command{RequestReview{}},
	}
}

// Letters writes to travellers.
func Letters() organs.Aggregate[struct{}] {
	return organs.Aggregate[struct{}]{
		Category: "letters",
		Decide: organs.Decide[struct{}]{
			organs.Handle(func(_ struct{}, c RequestReview) (organs.Events, error) {
				return organs.Events{ReviewRequested(c)}, nil
			}),
		},
	}
}

// CommandType implements spine.Command.
func (RequestReview) CommandType() string { return "request review" }

// StreamID implements spine.Command.
func (c RequestReview) StreamID() string { return c.Trip }

// EventType implements eventstore.Payload.
func (ReviewRequested) EventType() string { return "review requested" }

// EventType implements eventstore.Payload.
func (ReviewReceived) EventType() string { return "review received" }

// EventTags implements eventstore.Tagged.
func (e ReviewReceived) EventTags() []string { return []string{"trip:" + e.Trip} }
