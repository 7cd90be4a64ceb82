package spine

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// Decide decides one command: it loads what it needs and returns what to write. A refusal is a *RejectedError.
// When the commit meets a conflict, it is called again and must then look at the log anew.
type Decide func(ctx context.Context, in Request) (Output, error)

// Middleware stands around every decision, of commands that come by Send and of those that come through the log.
// It may refuse before next is called, or look at what came of it. It runs again when the decision does. Refusals
// are made with Reject; any other error is a failure.
type Middleware func(next Decide) Decide

// around puts middleware around a decision, the first one outermost.
func around(all []Middleware, decide Decide) Decide {
	for _, m := range slices.Backward(all) {
		if m != nil {
			decide = m(decide)
		}
	}
	return decide
}

// Reject refuses a command for a reason.
func Reject(in Request, reason error) error {
	return &RejectedError{Command: in.Command.CommandType(), Err: reason}
}

// Validating refuses commands with a method Validate() error that returns one, before anything is loaded.
func Validating() Middleware {
	return func(next Decide) Decide {
		return func(ctx context.Context, in Request) (Output, error) {
			if v, ok := bare(in.Command).(interface{ Validate() error }); ok {
				if err := v.Validate(); err != nil {
					return Output{}, Reject(in, err)
				}
			}
			return next(ctx, in)
		}
	}
}

// Authorizing refuses commands that allow returns an error for. Whoever sends is in.Metadata.Actor.
func Authorizing(allow func(ctx context.Context, in Request) error) Middleware {
	return func(next Decide) Decide {
		return func(ctx context.Context, in Request) (Output, error) {
			if err := allow(ctx, in); err != nil {
				return Output{}, Reject(in, err)
			}
			return next(ctx, in)
		}
	}
}

// Logging writes a line for every decision: at INFO, refusals too, and failures at WARN. It names the command, its
// id and its entity, but never what is in it.
func Logging(to *slog.Logger) Middleware {
	return func(next Decide) Decide {
		return func(ctx context.Context, in Request) (Output, error) {
			start := time.Now()
			out, err := next(ctx, in)
			attrs := []slog.Attr{
				slog.String("command", in.Command.CommandType()), slog.String("command_id", in.ID.String()),
				slog.String("entity", in.Command.StreamID()), slog.String("actor", in.Metadata.Actor),
				slog.Duration("duration", time.Since(start)),
			}
			rejected, refused := errors.AsType[*RejectedError](err)
			switch {
			case errors.Is(err, ErrCommitFirst): // it is only called again
			case refused:
				to.LogAttrs(ctx, slog.LevelInfo, "command rejected", append(attrs, slog.String("reason", rejected.Err.Error()))...)
			case err != nil:
				to.LogAttrs(ctx, slog.LevelWarn, "command failed", append(attrs, slog.String("error", err.Error()))...)
			default:
				to.LogAttrs(ctx, slog.LevelInfo, "command decided", append(attrs, slog.Int("events", appended(&out.Commit)))...)
			}
			return out, err
		}
	}
}

// appended counts events.
func appended(c *eventstore.Commit) (n int) {
	for i := range c.Appends {
		n += len(c.Appends[i].Events)
	}
	return n
}
