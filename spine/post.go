package spine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// commands is the category of the streams in which commands come through the log: one for each command, named by
// its id, that holds the command and its reply.
const commands = "command"

// Accepted is the reply to a command with an id of its own: it was decided, and what followed from it is in the
// same commit.
type Accepted struct {
	Command string // its type
	Events  int    // how many followed, right behind the reply
}

// EventType implements eventstore.Payload.
func (Accepted) EventType() string { return "command accepted" }

// Rejected is the reply to a command with an id of its own: it was refused.
type Rejected struct {
	Command string // its type
	Reason  string
}

// EventType implements eventstore.Payload.
func (Rejected) EventType() string { return "command rejected" }

// CommandTag is the tag of the reply to a command.
func CommandTag(id uuid.UUID) string { return "command:" + id.String() }

// WithID gives a command an id of its own. However often it is then sent, by Send or through the log, before or
// after a crash: it is decided once, and every sender gets the same answer. The reply stays in the log, an Accepted
// or a Rejected in the stream command-ID, with CommandTag.
func WithID(id uuid.UUID, c Command) Command { return identified{Command: bare(c), id: id} }

// Revoking gives a command that undoes another one an id of its own, as WithID does, and has its reply be the reply to
// the other one as well: unless that was decided before, it never is, however late it comes.
func Revoking(other, id uuid.UUID, c Command) Command { return identified{bare(c), id, other} }

// identified is a command with an id.
type identified struct {
	Command

	id      uuid.UUID
	revokes uuid.UUID // another command; uuid.Nil for none
}

// revoked begins the tag by which a command that comes through the log says which other one it revokes.
const revoked = "revokes:"

// revokes is the command that an event revokes which holds one; uuid.Nil for none.
func revokes(e *eventstore.Event) uuid.UUID {
	for _, tag := range e.Tags {
		if text, ok := strings.CutPrefix(tag, revoked); ok {
			if id, err := uuid.Parse(text); err == nil {
				return id
			}
		}
	}
	return uuid.Nil
}

// bare takes a command out of WithID.
func bare(c Command) Command {
	if with, ok := c.(identified); ok {
		return with.Command
	}
	return c
}

// Post puts a command on its way through the log: as an event, which a handler returns, or Emit appends, or a
// schedule holds back. Whoever decides the command does so when the event comes by, and replies in the same commit
// as what follows from it, exactly once for each id; without WithID it gets a new one.
func Post(c Command) eventstore.Payload {
	with, ok := c.(identified)
	if !ok {
		with = identified{Command: c, id: uuid.Must(uuid.NewV7())}
	}
	d := eventstore.In(eventstore.StreamOf(commands, with.id.String()), posted{with.Command, with.id})
	if with.revokes != uuid.Nil {
		d.Tags = []string{revoked + with.revokes.String()}
	}
	return d
}

// Posted returns the command that Post has made a payload of, as it was before WithID or Revoking, and its id.
func Posted(p eventstore.Payload) (c Command, id uuid.UUID, ok bool) {
	for d, draft := p.(eventstore.Draft); draft; d, draft = p.(eventstore.Draft) {
		p = d.Payload
	}
	x, ok := p.(posted)
	return x.Command, x.id, ok
}

// posted is the payload of a command's event: the command itself.
type posted struct {
	Command

	id uuid.UUID
}

// EventType is the command's type: events and commands share one namespace.
func (p posted) EventType() string {
	if isNil(p.Command) || p.id == uuid.Nil {
		return ""
	}
	return p.CommandType()
}

// MarshalJSON implements json.Marshaler.
func (p posted) MarshalJSON() ([]byte, error) { return json.Marshal(p.Command) }

func isNil(c Command) bool {
	v := reflect.ValueOf(c)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}

// Post appends a command to the log: see the function Post. The result is that of the append, not of the command.
func (s *Spine) Post(ctx context.Context, c Command) (eventstore.Result, error) {
	if err := checkCommand(c); err != nil {
		return eventstore.Result{}, fmt.Errorf("post: %w", err)
	}
	return s.Emit(ctx, Post(c))
}

// checkCommand refuses what cannot be a command.
func checkCommand(c Command) error {
	if isNil(bare(c)) {
		return &eventstore.InvalidError{Field: "command", Reason: "is nil"}
	}
	if with, ok := c.(identified); ok && with.id == uuid.Nil {
		return &eventstore.InvalidError{Field: "command", Reason: fmt.Sprintf("%s has the nil id, which would be that of many", c.CommandType())}
	}
	return nil
}

// checkEmitted refuses a command that nobody decides, as checkPosted does.
func (s *Spine) checkEmitted(p eventstore.Payload) error {
	for d, ok := p.(eventstore.Draft); ok; d, ok = p.(eventstore.Draft) {
		p = d.Payload
	}
	if c, ok := p.(posted); ok && c.EventType() != "" {
		return s.decided(c.EventType())
	}
	return nil
}

// decided fails unless somebody decides a command that comes through the log.
func (s *Spine) decided(typ string) error {
	h, ok := s.commands[typ]
	switch {
	case ok && h.Decode != nil, s.elsewhere[typ]:
		return nil
	case ok:
		return &eventstore.InvalidError{Field: "command", Reason: fmt.Sprintf("%s only comes by Send: its handler has no Decode", typ)}
	}
	return &eventstore.InvalidError{Field: "command", Reason: fmt.Sprintf("%s is one that no organ decides: Config.Elsewhere names those of other processes", typ)}
}

// checkPosted refuses an output that sends a command which nobody decides. What goes to the stream of the event that
// is handled is no command, but an answer to one.
func (s *Spine) checkPosted(c *eventstore.Commit, to eventstore.Stream) error {
	check := func(a *eventstore.Append) error {
		if a.Stream.Category() != commands || a.Stream == to {
			return nil
		}
		for i := range a.Events {
			if t := a.Events[i].Type; t != (Accepted{}).EventType() && t != (Rejected{}).EventType() {
				if err := s.decided(t); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for i := range c.Appends {
		if err := check(&c.Appends[i]); err != nil {
			return err
		}
	}
	for i := range c.Schedules {
		if err := check(&c.Schedules[i].Append); err != nil {
			return err
		}
	}
	return nil
}

// hearCommands has an organ listen to the commands that it decides: they may come through the log.
func (s *Spine) hearCommands(w Wiring) Wiring {
	mine := map[string]CommandHandler{}
	for _, h := range w.Decides {
		if h.Decode != nil {
			mine[h.Type] = h
			w.Listens = w.Listens.Or(eventstore.OfType(h.Type))
		}
	}
	if len(mine) == 0 {
		return w
	}
	handle := w.Handle
	key, former := w.Key, w.FormerKey
	w.Key = byEntity(mine, key)
	if former != nil {
		w.FormerKey = byEntity(mine, former)
	}
	w.Handle = func(ctx context.Context, in Input) (Output, error) {
		if h, ok := mine[in.Type]; ok {
			return s.handlePosted(ctx, h, in.Event)
		}
		return handle(ctx, in)
	}
	return w
}

// byEntity keys commands by the entity that they are for.
func byEntity(mine map[string]CommandHandler, others eventstore.Key) eventstore.Key {
	if others == nil {
		others = eventstore.ByStream
	}
	return func(e eventstore.Event) ([]string, error) {
		h, ok := mine[e.Type]
		if !ok {
			return others(e)
		}
		c, err := h.Decode(&e)
		if err != nil {
			return nil, err
		}
		return []string{c.StreamID()}, nil
	}
}

// handlePosted decides a command that came through the log, unless it was answered already. That is seldom, so nobody looks
// for the answer before something speaks for it: the commit is refused if there is one, and then the command comes again.
func (s *Spine) handlePosted(ctx context.Context, h CommandHandler, e *eventstore.Event) (Output, error) {
	c, err := h.Decode(e)
	if err != nil {
		return Output{}, Park(err)
	}
	in := Request{Command: c, ID: commandID(e), Time: e.Time, Metadata: e.Metadata, revokes: revokes(e)}
	first := ctx.Value(firstKey{}) != nil
	if !first {
		if reply, err := s.reply(ctx, in.ID); err != nil || reply != nil {
			return Output{}, err
		}
	}
	out, err := h.Decide(ctx, in)
	if _, refused := errors.AsType[*RejectedError](err); err == nil || refused {
		err = s.attachReply(&out, &in, err)
		return out, err
	}
	if first && !errors.Is(err, ErrCommitFirst) { // it is no failure of a command that was answered
		if reply, failed := s.reply(ctx, in.ID); failed == nil && reply != nil {
			out.settle(eventstore.Result{}, err)
			return Output{}, nil
		}
	}
	return out, err
}

// commandID is the id of the command that an event holds: it names its stream.
func commandID(e *eventstore.Event) uuid.UUID {
	if e.Stream.Category() == commands {
		if id, err := uuid.Parse(e.Stream.ID()); err == nil {
			return id
		}
	}
	return e.ID
}

// attachReply puts the reply to a command before what follows from it, on condition that it is the only one. A
// refused command has no output but the reply.
func (s *Spine) attachReply(out *Output, in *Request, refusal error) error {
	var reply eventstore.Payload = Accepted{Command: in.Command.CommandType(), Events: appended(&out.Commit)}
	if rejected, ok := errors.AsType[*RejectedError](refusal); ok {
		reply, out.Commit = Rejected{Command: in.Command.CommandType(), Reason: shorten(rejected.Err)}, eventstore.Commit{}
	}
	tag := CommandTag(in.ID)
	tags := []string{tag}
	if in.revokes != uuid.Nil {
		tags = append(tags, CommandTag(in.revokes))
	}
	e, err := s.store.Encode(eventstore.Draft{Payload: reply, Tags: tags})
	if err != nil {
		return err
	}
	a := eventstore.Append{Stream: eventstore.StreamOf(commands, in.ID.String()), Events: []eventstore.Event{e}}
	out.Commit.Appends = append([]eventstore.Append{a}, out.Commit.Appends...)
	out.Commit.Unless = append(out.Commit.Unless, eventstore.Condition{Query: eventstore.WithTags(tag)})
	return nil
}

// reply finds the reply to a command, nil if there is none.
func (s *Spine) reply(ctx context.Context, id uuid.UUID) (*eventstore.Event, error) {
	for e, err := range s.store.Read(ctx, eventstore.WithTags(CommandTag(id)), eventstore.Range{Limit: 1}) {
		if err != nil {
			return nil, fmt.Errorf("look for the reply to command %s: %w", id, err)
		}
		return &e, nil
	}
	return nil, nil
}

// answer is what every sender of a command with an id gets: the same, for it is made of the reply in the log.
func (s *Spine) answer(ctx context.Context, reply *eventstore.Event) (eventstore.Result, error) {
	if reply.Type == (Rejected{}).EventType() {
		r, err := eventstore.Decode[Rejected](*reply)
		if err != nil {
			return eventstore.Result{}, err
		}
		return eventstore.Result{}, &RejectedError{Command: r.Command, Err: errors.New(r.Reason)}
	}
	a, err := eventstore.Decode[Accepted](*reply)
	if err != nil {
		return eventstore.Result{}, err
	}
	if a.Events == 0 {
		return eventstore.Result{Position: reply.Position}, nil
	}
	r := eventstore.Result{First: reply.Position + 1, Position: reply.Position + eventstore.Position(a.Events)}
	var last eventstore.Stream
	for e, err := range s.store.Read(ctx, eventstore.All(), eventstore.Range{After: reply.Position, UpTo: r.Position}) {
		if err != nil {
			return r, err
		}
		if e.Stream != last {
			r.Versions = append(r.Versions, 0)
		}
		last, r.Versions[len(r.Versions)-1] = e.Stream, e.Version
	}
	return r, nil
}
