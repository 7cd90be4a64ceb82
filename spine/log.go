package spine

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// logging writes observations to a logger: the way of an event at DEBUG, what goes wrong at WARN and ERROR.
// Times are UTC, which a Logger of its own accord would not make them.
type logging struct{ logger *slog.Logger }

// levels of the steps; what is missing is DEBUG.
func level(s Step) slog.Level {
	switch s {
	case HandlerFailed, CommitFailed, LeaseLost, StoreFailed, Redefined, EventRetried:
		return slog.LevelWarn
	case EventParked, EventSkipped, Abandoned, EventSpilled:
		return slog.LevelError
	default:
		return slog.LevelDebug
	}
}

// Observe implements Observer.
func (l logging) Observe(ctx context.Context, o Observation) context.Context {
	lv := level(o.Step)
	if !l.logger.Enabled(ctx, lv) {
		return ctx
	}
	attrs := make([]slog.Attr, 0, 12)
	if o.Organ != "" {
		attrs = append(attrs, slog.String("organ", o.Organ))
	}
	if o.Partition >= 0 {
		attrs = append(attrs, slog.Int("partition", o.Partition))
	}
	if e := o.Event; e != nil {
		attrs = append(attrs,
			slog.String("event_id", e.ID.String()), slog.String("correlation_id", e.Metadata.Correlation.String()),
			slog.String("type", e.Type), slog.String("stream", string(e.Stream)), slog.Int64("position", int64(e.Position)))
	}
	if c := o.Command; c != nil {
		attrs = append(attrs,
			slog.String("command_id", c.ID.String()), slog.String("correlation_id", c.Metadata.Correlation.String()),
			slog.String("command", c.Command.CommandType()))
	}
	r := slog.NewRecord(time.Now().UTC(), lv, string(o.Step), 0)
	r.AddAttrs(append(attrs, details(o)...)...)
	_ = l.logger.Handler().Handle(ctx, r) // a Logger drops this error, too
	return ctx
}

// details are what only some steps have.
func details(o Observation) (attrs []slog.Attr) {
	switch o.Step {
	case EventDispatched:
		attrs = append(attrs, slog.Int("attempt", o.Attempt))
	case EventCompleted:
		attrs = append(attrs, slog.Int("emitted", o.Emitted), slog.Duration("duration", o.Duration))
	case EventEnqueued:
		ids := make([]string, len(o.IDs))
		for i, id := range o.IDs {
			ids[i] = id.String()
		}
		attrs = append(attrs, slog.Any("ids", ids))
	case EventAcked, LeaseTaken:
		attrs = append(attrs, slog.Int64("checkpoint", int64(o.Position)))
	case HandlerFailed:
		attrs = append(attrs, slog.Int("attempt", o.Attempt), slog.Duration("duration", o.Duration))
	}
	if o.Err != nil {
		attrs = append(attrs, slog.String("error", o.Err.Error()))
		if p, ok := errors.AsType[*PanicError](o.Err); ok {
			attrs = append(attrs, slog.String("stack", string(p.Stack)))
		}
	}
	return attrs
}
