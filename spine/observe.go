package spine

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// Observer is told of every step of every event: the seam for telemetry. The logger is one.
// Observe is called from many goroutines and must not block; it must not keep what Observation refers to.
//
// The context that it returns for EventDispatched is the handler's, and comes back with EventCompleted or
// HandlerFailed; the others are ignored.
type Observer interface {
	Observe(ctx context.Context, o Observation) context.Context
}

// Observation is one step.
type Observation struct {
	Step      Step
	Organ     string              // "" for StoreFailed
	Partition int                 // of the organ; -1 for commands and StoreFailed
	Event     *eventstore.Event   // what is handled; nil for commands and steps of a whole partition
	Command   *Request            // what is decided; nil for events
	Attempt   int                 // from 1, of EventDispatched, EventCompleted, HandlerFailed
	Duration  time.Duration       // of EventCompleted and HandlerFailed: the handler's
	Emitted   int                 // of EventCompleted: how many events it returned
	IDs       []uuid.UUID         // of EventEnqueued: the new events
	Position  eventstore.Position // of EventAcked: the new checkpoint; of LeaseTaken: where the partition stands
	Err       error               // why, of every step that is a failure
}

// Step is a kind of Observation.
type Step string

// The steps. An event passes received → dispatched → completed → enqueued → acked; enqueued only where it
// led to new events.
const (
	EventReceived   Step = "received"      // the organ's partition has taken up the event
	EventDispatched Step = "dispatched"    // its handler is called
	EventCompleted  Step = "completed"     // its handler has returned
	EventEnqueued   Step = "enqueued"      // what it returned is in the log
	EventAcked      Step = "acked"         // the checkpoint has passed the event
	HandlerFailed   Step = "failed"        // its handler has failed, for this time
	EventParked     Step = "parked"        // the event was set aside
	EventSkipped    Step = "skipped"       // the event was acknowledged though its handler failed
	CommitFailed    Step = "commit failed" // the store failed, or nobody knows; the same commit is sent again
	CommitConflict  Step = "conflict"      // someone else wrote first; decided again
	Abandoned       Step = "abandoned"     // a handler ignores that its time is up
	LeaseTaken      Step = "leased"        // a partition is ours
	LeaseLost       Step = "lost"          // a partition is no longer ours
	Redefined       Step = "redefined"     // the organ runs by another definition now, or, with Err, no more
	EventRetried    Step = "retried"       // the event was set aside to be tried again by itself
	EventRedriven   Step = "redriven"      // the event was set aside, and is done now
	EventSpilled    Step = "spilled"       // the event's output is in the local file, for the store fails
	StoreFailed     Step = "store failed"  // reading or renewing leases failed; it is tried again
)

// observers tells all of them, in order.
type observers []Observer

func (os observers) tell(ctx context.Context, o Observation) context.Context {
	for _, x := range os {
		if c := x.Observe(ctx, o); c != nil && o.Step == EventDispatched {
			ctx = c
		}
	}
	return ctx
}
