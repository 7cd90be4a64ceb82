package eventstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
)

// What an operation may fail with. Use errors.Is; where an error carries data, errors.As.
var (
	// ErrConflict refuses a commit whose expected version or condition no longer holds. Load, decide and
	// commit again. See ConflictError and ConditionError.
	ErrConflict = errors.New("conflict")

	// ErrFenced refuses a commit of someone who has lost the right to make it: the lease on a partition has
	// changed hands, or the parked entry was taken back already. See FencedError.
	ErrFenced = errors.New("fenced")

	// ErrIDReused refuses a commit that uses an id again without being the same commit again.
	ErrIDReused = errors.New("id reused")

	// ErrInvalid refuses what breaks a rule or a limit, before any I/O. See InvalidError.
	ErrInvalid = errors.New("invalid")

	// ErrOutcomeUnknown says that nobody can tell whether the commit was written. Only sending the same
	// commit again settles it: the events carry their ids. See OutcomeUnknownError.
	ErrOutcomeUnknown = errors.New("outcome unknown")

	// ErrRefused is how a backend says that a server would not take a batch because of what is in it, and
	// that nothing of it was written. A Store then finds the commit that is to blame.
	ErrRefused = errors.New("refused by the server")

	// ErrUnavailable says that a read has failed because the log's server cannot be reached, or cannot work for the
	// moment. The same read may succeed later.
	ErrUnavailable = errors.New("the log is not available")

	// ErrWentBack says that the log lacks events that it had: its server has lost them, as a failover or a restore from a
	// backup may do. What was made of them since cannot be relied on, so it stays, until the store is opened anew.
	ErrWentBack = errors.New("the log went back")

	// ErrClosed is returned by a store after Close.
	ErrClosed = errors.New("store is closed")

	// ErrPaused ends a wait for a consumer that is paused.
	ErrPaused = errors.New("paused")

	// ErrParked ends a wait for an event that a consumer has set aside.
	ErrParked = errors.New("parked")

	// ErrUnknownType is what a strict fold returns for an event that it has no case for.
	ErrUnknownType = errors.New("unknown event type")
)

// ConflictError says which stream was not as expected.
type ConflictError struct {
	Stream   Stream
	Expected Expected
	Actual   Version
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("append to %s: expected %s, stands at version %d", e.Stream, e.Expected, e.Actual)
}

// Is makes it an ErrConflict.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// ConditionError says which event broke a condition.
type ConditionError struct {
	Index    int      // of the condition in Commit.Unless
	After    Position // the condition's
	Position Position // of the first matching event after it; 0 where the backend does not tell
}

func (e *ConditionError) Error() string {
	if e.Position == 0 {
		return fmt.Sprintf("condition %d: an event matches after position %d", e.Index+1, e.After)
	}
	return fmt.Sprintf("condition %d: the event at position %d matches, after position %d", e.Index+1, e.Position, e.After)
}

// Is makes it an ErrConflict.
func (e *ConditionError) Is(target error) bool { return target == ErrConflict }

// FencedError says which partition is no longer the committer's, or no longer where it left it; or which
// delivery or parked entry.
type FencedError struct {
	Consumer  string
	Partition int
	Entry     uuid.UUID // of the delivery or parked entry; uuid.Nil if it is about the partition
	Reason    string    // such as "epoch 3 has passed to epoch 4"
}

func (e *FencedError) Error() string {
	if e.Entry != uuid.Nil {
		return fmt.Sprintf("entry %s: fenced: %s", e.Entry, e.Reason)
	}
	return fmt.Sprintf("consumer %s partition %d: fenced: %s", e.Consumer, e.Partition, e.Reason)
}

// Is makes it an ErrFenced.
func (e *FencedError) Is(target error) bool { return target == ErrFenced }

// InvalidError names what breaks a rule or a limit.
type InvalidError struct {
	Field  string // such as "append 1: event 3: data"
	Reason string
}

func (e *InvalidError) Error() string { return e.Field + " " + e.Reason }

// Is makes it an ErrInvalid.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

func invalid(field, format string, args ...any) error {
	return &InvalidError{field, fmt.Sprintf(format, args...)}
}

// OutcomeUnknownError carries the commit whose fate is unknown: send it again with Store.Commit to learn it.
type OutcomeUnknownError struct {
	Commit Commit
	Err    error // what came in between
}

func (e *OutcomeUnknownError) Error() string { return "commit: outcome unknown: " + e.Err.Error() }

// Unwrap returns what came in between.
func (e *OutcomeUnknownError) Unwrap() error { return e.Err }

// Is makes it an ErrOutcomeUnknown.
func (e *OutcomeUnknownError) Is(target error) bool { return target == ErrOutcomeUnknown }

// IsRetryable reports whether the same call may succeed when made again unchanged. An error decides for
// itself with a method Retryable() bool; an unknown outcome is retryable, because a commit may be sent again;
// a conflict is not, because the decision has to be made again first.
func IsRetryable(err error) bool {
	if r, ok := errors.AsType[interface {
		error
		Retryable() bool
	}](err); ok {
		return r.Retryable()
	}
	switch {
	case errors.Is(err, ErrOutcomeUnknown), errors.Is(err, context.DeadlineExceeded):
		return true
	default:
		return false
	}
}
