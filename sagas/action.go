package sagas

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

// Action is what a step does: Command, Call or Nested.
type Action[S any] struct {
	kind    string                                                                               // "" for none
	sends   string                                                                               // type of the command
	make    func(state S) spine.Command                                                          // of a command
	call    func(ctx context.Context, state S, id uuid.UUID) (eventstore.Payload, string, error) // of a call: the outcome and its type
	event   string                                                                               // type of a call's outcome
	breaker Breaker
	fault   error
}

const (
	command = "command"
	call    = "call"
	nested  = "nested"
)

// Command sends a command through the log to the organ that decides it.
func Command[S any, C spine.Command](from func(state S) C) Action[S] {
	name, fault := spine.TypeOf[C]()
	if from == nil && fault == nil {
		fault = fmt.Errorf("command %s is nil", name)
	}
	return Action[S]{kind: command, sends: name, fault: fault, make: func(s S) spine.Command { return from(s) }}
}

// Nested begins another saga by the command that begins it, and waits for its end, which is the step's outcome: Completed
// is success, anything else refusal. Sagas that wait for each other in a circle are a fault. To see what the other one came
// to, list Ended among the step's outcomes, as a Success: it is folded whatever the end is.
func Nested[S any, C spine.Command](start func(state S) C) Action[S] {
	a := Command(start)
	a.kind = nested
	return a
}

// Call calls a service, with id as the idempotency key: at least once, for a crash may come between the call and the log's
// knowing of it, and then the same id comes again. The event it returns is the outcome. An error means: the outcome is
// unknown, try again; Refuse(err) means no. The call is given up when ctx ends, with the step's Timeout. The id may well be that
// of a command, by spine.WithID, in this log or another.
func Call[S any, E eventstore.Payload](do func(ctx context.Context, state S, id uuid.UUID) (E, error)) Action[S] {
	name, fault := eventstore.TypeOf[E]()
	if do == nil && fault == nil {
		fault = fmt.Errorf("call for %s is nil", name)
	}
	return Action[S]{kind: call, event: name, fault: fault, call: func(ctx context.Context, s S, id uuid.UUID) (eventstore.Payload, string, error) {
		e, err := do(ctx, s, id)
		return e, name, err
	}}
}

// Breaker keeps calls from a service that is down: after so many failures in a row nothing is called for a while, and
// then one call at a time tries whether it is back. What is held back does not count as an attempt. It counts in
// one process.
type Breaker struct {
	Failures int           // in a row, until it opens. Defaults to never
	Open     time.Duration // for how long. Defaults to 30 s
}

// Guarded puts a circuit breaker before a Call.
func (a Action[S]) Guarded(b Breaker) Action[S] {
	if a.kind != call && a.fault == nil {
		a.fault = fmt.Errorf("only a Call can be guarded")
	}
	if (b.Failures < 0 || b.Open < 0) && a.fault == nil {
		a.fault = fmt.Errorf("breaker: Failures is %d and Open is %s", b.Failures, b.Open)
	}
	if b.Open == 0 {
		b.Open = 30 * time.Second
	}
	a.breaker = b
	return a
}

// Refuse marks an error of a Call as the service's no. Refuse(nil) is nil.
func Refuse(err error) error {
	if err == nil {
		return nil
	}
	return &refusal{err}
}

type refusal struct{ error }

func (r *refusal) Unwrap() error { return r.error }
