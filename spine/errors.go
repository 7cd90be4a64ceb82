package spine

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ErrRunning is returned by Run and Drain while the Spine runs already.
var ErrRunning = errors.New("spine is running already")

// ErrAbandoned ends a Spine that has too many handlers which ignore that their time is up.
var ErrAbandoned = errors.New("too many abandoned handlers")

// ErrDeadline is why a handler that took longer than its policy's Deadline has failed.
var ErrDeadline = errors.New("handler exceeded its deadline")

// ErrDepth is why an event was parked that has more causes before it than Config.MaxDepth: organs that answer each
// other without end.
var ErrDepth = errors.New("runaway causation")

// ErrPoison is why an event was parked whose handling has ended the process, time and again.
var ErrPoison = errors.New("its handling has ended the process")

// ErrCommitFirst is what a handler returns when it cannot go on before the outputs of the earlier events of
// its Batch are committed. It is then called again.
var ErrCommitFirst = errors.New("what came before must be committed first")

// RejectedError is an organ's refusal of a command: a result, never retried.
type RejectedError struct {
	Command string // its type
	Err     error  // the reason
}

func (e *RejectedError) Error() string { return e.Command + " rejected: " + e.Err.Error() }

// Unwrap returns the reason.
func (e *RejectedError) Unwrap() error { return e.Err }

// PanicError is a panic of a handler, taken for a failure.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the value that the handler panicked with, if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// LoopError says that Drain ran into its MaxSteps, and on which types of events.
type LoopError struct {
	Steps int
	Types map[string]int // how often each type was handled
}

func (e *LoopError) Error() string {
	types := slices.SortedFunc(maps.Keys(e.Types), func(a, b string) int { return e.Types[b] - e.Types[a] })
	var loop []string
	for _, t := range types[:min(len(types), 5)] {
		loop = append(loop, fmt.Sprintf("%s (%d)", t, e.Types[t]))
	}
	return fmt.Sprintf("%d events handled and still more due, looping: %s", e.Steps, strings.Join(loop, ", "))
}

// Park marks an error as final: the event is not tried again but set aside at once, and what the handler
// returned with the error is committed together with the parking. Under ErrorLog the event is logged
// instead. Park(nil) is nil.
func Park(err error) error {
	if err == nil {
		return nil
	}
	return &parkError{err}
}

type parkError struct{ error }

func (e *parkError) Unwrap() error { return e.error }

// IsPark reports whether an error was made by Park.
func IsPark(err error) bool {
	_, ok := errors.AsType[*parkError](err)
	return ok
}
