package eventstore

import "context"

type metadataKey struct{}

// WithMetadata says under which conversation, cause, trace and actor whatever is committed with the
// returned context stands: every such event takes from m what it does not say itself. m.Schema is ignored.
func WithMetadata(ctx context.Context, m Metadata) context.Context {
	m.Schema = 0
	return context.WithValue(ctx, metadataKey{}, m)
}

// MetadataFrom returns what WithMetadata or WithCause put into the context.
func MetadataFrom(ctx context.Context) Metadata {
	switch m := ctx.Value(metadataKey{}).(type) {
	case Metadata:
		return m
	case *Event:
		return m.Child()
	}
	return Metadata{}
}

// WithCause says that whatever is committed with the returned context follows from cause. The Spine
// calls it for handlers; cause must not change while the context is in use.
func WithCause(ctx context.Context, cause *Event) context.Context {
	return causedContext{ctx, cause}
}

// causedContext is a context.WithValue that builds the metadata only when someone asks for it.
type causedContext struct {
	context.Context //nolint:containedctx // it is a context
	cause           *Event
}

func (c causedContext) Value(key any) any {
	if key == (metadataKey{}) {
		return c.cause
	}
	return c.Context.Value(key)
}

type historyKey struct{}

// WithHistory says up to which position events are history: see History. The Spine calls it for handlers.
func WithHistory(ctx context.Context, p Position) context.Context {
	return context.WithValue(ctx, historyKey{}, p)
}

// History is the head of the log when the consumer whose handler ctx was given to was first defined, or last reset: an event
// up to there was in the log before, and perhaps was handled before. Handlers that have effects elsewhere, such as sending
// mail, may let it pass. It is 0 outside of a handler.
func History(ctx context.Context) Position {
	p, _ := ctx.Value(historyKey{}).(Position)
	return p
}
