package sagas

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// State of an instance.
type State string

// The states. Completed, Compensated and Cancelled are the ends.
const (
	Running      State = "running"
	Compensating State = "compensating"
	ForwardOnly  State = "forward only"  // past the pivot
	UndoStuck    State = "undo stuck"    // a step cannot be undone: an operator is to retry or skip it
	ForwardStuck State = "forward stuck" // a step from the pivot on cannot be done: likewise
	Suspended    State = "suspended"     // by an operator, until it is resumed
	Completed    State = "completed"
	Compensated  State = "compensated"
	Cancelled    State = "cancelled" // compensated because an operator wanted it
)

// alive are the states of instances that have not ended.
var alive = []State{Running, Compensating, ForwardOnly, UndoStuck, ForwardStuck, Suspended}

// Ended reports whether a state is an end.
func (s State) Ended() bool { return s == Completed || s == Compensated || s == Cancelled }

// Stuck reports whether an instance in this state waits for an operator.
func (s State) Stuck() bool { return s == UndoStuck || s == ForwardStuck || s == Suspended }

// Began is the first event of an instance.
type Began struct {
	Saga     string          `json:"saga"`
	Instance string          `json:"instance"`
	Version  int             `json:"version"` // of the definition that it ends under
	State    json.RawMessage `json:"state"`   // what it remembers
	ReplyTo  string          `json:"replyTo,omitempty"`
	Depth    int             `json:"depth,omitempty"` // of what has begun it
	Deadline time.Time       `json:"deadline,omitzero"`
}

// EventType implements eventstore.Payload.
func (Began) EventType() string { return "saga began" }

// Moved is what has happened to an instance at one time.
type Moved struct {
	Saga     string          `json:"saga"`
	Instance string          `json:"instance"`
	Moves    []Move          `json:"moves,omitempty"`
	State    json.RawMessage `json:"state,omitempty"` // what it remembers from now on; nil: what it did before
	Wake     *Wake           `json:"wake,omitempty"`  // when it is to be woken from now on; nil: as before
}

// EventType implements eventstore.Payload.
func (Moved) EventType() string { return "saga moved" }

// Ended is the last event of an instance. A saga that has begun another one by Nested is told by it.
type Ended struct {
	Saga     string          `json:"saga"`
	Instance string          `json:"instance"`
	State    State           `json:"state"`
	Reason   string          `json:"reason,omitempty"`
	Result   json.RawMessage `json:"result"` // what it remembered at last
}

// EventType implements eventstore.Payload.
func (Ended) EventType() string { return "saga ended" }

// What says what kind of Move it is.
type What string

// The kinds of moves. Those of a step are also the phases that it is in afterwards.
const (
	Sent      What = "sent"      // a command or call is under way
	Waiting   What = "waiting"   // it is to be sent again
	Succeeded What = "succeeded" // done or, with Undo, undone
	Refused   What = "refused"
	Unknown   What = "unknown" // whether it was done
	Stuck     What = "stuck"
	Skipped   What = "skipped" // by an operator

	Turned  What = "turned"  // the instance is in another state
	Retried What = "retried" // by an operator: a step that is stuck is tried again
	Took    What = "took"    // a Process has taken an event up
	Set     What = "set"     // a timer
	Stopped What = "stopped" // likewise
	Fired   What = "fired"   // likewise
)

// Move is one thing that has happened to an instance.
type Move struct {
	What    What      `json:"what"`
	Step    string    `json:"step,omitempty"`    // of a step's move; the name of a timer; the type of a command or event of a Process
	Undo    bool      `json:"undo,omitempty"`    // it is about undoing the step
	Cycle   int       `json:"cycle,omitempty"`   // how often the step was begun, or its undoing: each has an id of its own
	Attempt int       `json:"attempt,omitempty"` // from 1
	Anew    bool      `json:"anew,omitempty"`    // Waiting: for another cycle
	Until   time.Time `json:"until,omitzero"`    // Sent: when the outcome is unknown; Waiting: when it is sent again; Set: when due
	ID      uuid.UUID `json:"id,omitzero"`       // of the command or call that is sent, of the event that is taken up
	To      State     `json:"to,omitempty"`      // Turned
	Back    int       `json:"back,omitempty"`    // Turned: the number of the savepoint that it goes back to, from 1; 0 for all the way
	Why     string    `json:"why,omitempty"`
	By      string    `json:"by,omitempty"` // the operator
}

// Wake is the timer of an instance.
type Wake struct {
	Generation int       `json:"generation"`
	Due        time.Time `json:"due,omitzero"` // zero: it is not set
}

// woken is the event of an instance's timer.
type woken struct {
	Generation int `json:"generation"`
}

func (woken) EventType() string { return "saga woken" }
