package spine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// Send has a command decided now, by its organ, in the caller's goroutine, and commits what follows. It
// needs no Run. When somebody else writes first, the organ decides again, on the new state.
//
// It returns the last event's position, for reading one's own write; if nothing was to be written, that of
// the state that was decided on. A refusal is a *RejectedError, with the zero Result. ErrOutcomeUnknown is passed
// on. A command made by WithID is decided once, however often it is sent, and is answered the same every time; of
// a refusal only the text is kept then.
func (s *Spine) Send(ctx context.Context, c Command) (eventstore.Result, error) {
	if err := checkCommand(c); err != nil {
		return eventstore.Result{}, fmt.Errorf("send: %w", err)
	}
	h, ok := s.commands[c.CommandType()]
	if !ok {
		return eventstore.Result{}, fmt.Errorf("send %s: %w", c.CommandType(),
			&eventstore.InvalidError{Field: "command", Reason: "is one that no organ of this Spine decides"})
	}
	with, known := c.(identified)
	if !known {
		id, err := uuid.NewV7()
		if err != nil {
			return eventstore.Result{}, fmt.Errorf("send %s: %w", c.CommandType(), err)
		}
		with = identified{Command: c, id: id}
	}
	in := Request{Command: with.Command, ID: with.id, Time: time.Now().UTC(), Metadata: eventstore.MetadataFrom(ctx), revokes: with.revokes}
	if in.Metadata.Correlation == uuid.Nil {
		in.Metadata.Correlation = in.ID
	}
	ctx = context.WithValue(ctx, batchKey{}, nil) // a handler that sends does so beside its own batch
	ctx, span := s.telemetry.span(ctx, trace.SpanKindInternal, "decide", c.CommandType())
	defer span.End()
	traceOf(ctx, &in.Metadata)
	r, err := s.decide(ctx, h, in, known)
	fail(span, err)
	if err != nil {
		if _, refused := errors.AsType[*RejectedError](err); refused {
			return r, err
		}
		return r, fmt.Errorf("send %s to %s: %w", c.CommandType(), h.organ.name, err)
	}
	return r, nil
}

// decide is the conflict loop: load, decide, commit, again. A command with an id of its own is decided only if it
// has no reply yet, and gets one.
func (s *Spine) decide(ctx context.Context, h command, in Request, once bool) (eventstore.Result, error) {
	for n := 1; ; n++ {
		if once {
			if reply, err := s.reply(ctx, in.ID); err != nil || reply != nil {
				if err == nil {
					return s.answer(ctx, reply)
				}
				return eventstore.Result{}, err
			}
		}
		out, err := protect(func() (Output, error) { return h.Decide(ctx, in) })
		if err == nil {
			err = errors.Join(out.check(), s.checkPosted(&out.Commit, ""))
		}
		refusal, refused := errors.AsType[*RejectedError](err)
		if once && (err == nil || refused) {
			err = s.attachReply(&out, &in, err)
		}
		if err != nil {
			out.settle(eventstore.Result{}, err)
			return eventstore.Result{}, err
		}
		if out.empty() {
			out.settle(eventstore.Result{}, nil)
			return out.Seen, nil
		}
		follow(&out.Commit, &in)
		r, err := s.commit(ctx, h.organ.name, out.Commit, nil)
		out.settle(r, err)
		if !errors.Is(err, eventstore.ErrConflict) || n >= s.cfg.Conflicts {
			if err == nil {
				h.organ.emitted.Add(int64(len(ids(&out.Commit))))
				s.wakeClock(&out.Commit)
			}
			if err == nil && refused {
				return eventstore.Result{}, refusal
			}
			if err == nil && once {
				reply := out.Commit.Appends[0].Events[0]
				reply.Position = r.First
				return s.answer(ctx, &reply)
			}
			return r, err
		}
		h.organ.conflicted.Add(1)
		s.observe.tell(ctx, Observation{Step: CommitConflict, Organ: h.organ.name, Partition: -1, Command: &in, Err: err})
		if !pause(ctx, jitter(time.Millisecond<<min(n, 6))) {
			return eventstore.Result{}, context.Cause(ctx)
		}
	}
}

// Emit appends plain events, all in one commit: see eventstore.Store.Emit. It refuses commands, made by Post, that
// nobody decides.
func (s *Spine) Emit(ctx context.Context, events ...eventstore.Payload) (eventstore.Result, error) {
	for i, p := range events {
		if err := s.checkEmitted(p); err != nil {
			return eventstore.Result{}, fmt.Errorf("emit event %d: %w", i+1, err)
		}
	}
	ctx, span := s.telemetry.span(ctx, trace.SpanKindProducer, "emit", "events")
	defer span.End()
	span.SetAttributes(attribute.Int("messaging.batch.message_count", len(events)))
	r, err := s.store.Emit(traced(ctx), events...)
	fail(span, err)
	return r, err
}
