package spine

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// Send has a command decided now, by its organ, in the caller's goroutine, and commits what follows. It
// needs no Run. When somebody else writes first, the organ decides again, on the new state.
//
// It returns the last event's position, for reading one's own write; if nothing was to be written, that of
// the state that was decided on. A refusal is a *RejectedError, with the
// zero Result. ErrOutcomeUnknown is passed on.
func (s *Spine) Send(ctx context.Context, c Command) (eventstore.Result, error) {
	if v := reflect.ValueOf(c); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return eventstore.Result{}, fmt.Errorf("send: %w", &eventstore.InvalidError{Field: "command", Reason: "is nil"})
	}
	h, ok := s.commands[c.CommandType()]
	if !ok {
		return eventstore.Result{}, fmt.Errorf("send %s: %w", c.CommandType(),
			&eventstore.InvalidError{Field: "command", Reason: "is one that no organ decides"})
	}
	id, err := uuid.NewV7()
	if err != nil {
		return eventstore.Result{}, fmt.Errorf("send %s: %w", c.CommandType(), err)
	}
	in := Request{Command: c, ID: id, Time: time.Now().UTC(), Metadata: eventstore.MetadataFrom(ctx)}
	if in.Metadata.Correlation == uuid.Nil {
		in.Metadata.Correlation = id
	}
	r, err := s.decide(ctx, h, in)
	if err != nil {
		if _, refused := errors.AsType[*RejectedError](err); refused {
			return r, err
		}
		return r, fmt.Errorf("send %s to %s: %w", c.CommandType(), h.organ.name, err)
	}
	return r, nil
}

// decide is the conflict loop: load, decide, commit, again.
func (s *Spine) decide(ctx context.Context, h command, in Request) (eventstore.Result, error) {
	for n := 1; ; n++ {
		out, err := protect(func() (Output, error) { return h.Decide(ctx, in) })
		if err == nil {
			err = out.check()
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
		r, err := s.store.Commit(ctx, out.Commit)
		out.settle(r, err)
		if !errors.Is(err, eventstore.ErrConflict) || n >= s.cfg.Conflicts {
			if err == nil {
				h.organ.emitted.Add(int64(len(ids(&out.Commit))))
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

// Emit appends plain events, all in one commit: see eventstore.Store.Emit.
func (s *Spine) Emit(ctx context.Context, events ...eventstore.Payload) (eventstore.Result, error) {
	return s.store.Emit(ctx, events...)
}
