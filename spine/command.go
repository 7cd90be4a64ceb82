package spine

import (
	"fmt"
	"reflect"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// Command is a request that one organ decides. The type must not depend on the value: the zero value
// answers for all.
type Command interface {
	CommandType() string

	// StreamID says which entity the command is for: what stands behind the category in its stream's name.
	StreamID() string
}

// Received is a command with what is known of its sending. Wherever a handler takes a command C, it may
// take Received[C] in its place.
type Received[C Command] struct {
	Command  C
	ID       uuid.UUID
	Time     time.Time // when it came in
	Metadata eventstore.Metadata
}

// CommandType forwards to C.
func (Received[C]) CommandType() string { var c C; return c.CommandType() }

// StreamID forwards to the command.
func (r Received[C]) StreamID() string { return r.Command.StreamID() }

func (Received[C]) commandType() (string, error) { return TypeOf[C]() }

func (r *Received[C]) body() any { return &r.Command }

func (r Received[C]) command() Command { return r.Command }

func (r *Received[C]) receive(in Request) (err error) {
	r.ID, r.Time, r.Metadata = in.ID, in.Time, in.Metadata
	r.Command, err = Receive[C](in)
	return err
}

// Request is a command of any type, as the Spine hands it to its organ.
type Request struct {
	Command  Command
	ID       uuid.UUID
	Time     time.Time
	Metadata eventstore.Metadata

	revokes uuid.UUID // see Revoking
}

// Receive gives a handler the command in the form it asks for: C, or Received[C]. A pointer that was sent
// is followed.
func Receive[C Command](in Request) (c C, err error) {
	if r, ok := any(&c).(interface{ receive(in Request) error }); ok {
		return c, r.receive(in)
	}
	sent := in.Command
	if with, ok := sent.(identified); ok {
		sent = with.Command
	}
	switch v := any(sent).(type) {
	case C:
		return v, nil
	case *C:
		if v != nil {
			return *v, nil
		}
	}
	return c, fmt.Errorf("command is a %T, its handler takes %T", sent, c)
}

// TypeOf returns the command type that handlers of C decide, or why C cannot be a command: pointers and
// interfaces cannot, nor can a type whose zero value has no name.
func TypeOf[C Command]() (name string, err error) {
	t := reflect.TypeFor[C]()
	switch t.Kind() {
	case reflect.Pointer:
		return "", fmt.Errorf("command %s is a pointer: take %s", t, t.Elem())
	case reflect.Interface:
		return "", fmt.Errorf("command %s is an interface: take a struct", t)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("command %s: CommandType of the zero value panics: %v", t, p)
		}
	}()
	var c C
	if r, ok := any(c).(interface{ commandType() (string, error) }); ok {
		return r.commandType()
	}
	name = c.CommandType()
	if err := eventstore.CheckName("command type", name); err != nil {
		return "", fmt.Errorf("command %s: %w", t, err)
	}
	return name, nil
}

// CommandHandler decides the commands of one type.
type CommandHandler struct {
	Type string

	// Decide loads what it needs and returns what to write. A refusal is a *RejectedError. When the commit
	// meets a conflict, it is called again and must then look at the log anew.
	Decide Decide

	// Decode reads a command that came through the log. Without it the command only comes by Send.
	Decode func(e *eventstore.Event) (Command, error)
}

// DecodeCommand is the Decode of a handler of C, which may be a Received.
func DecodeCommand[C Command](e *eventstore.Event) (Command, error) {
	var c C
	into := any(&c)
	if r, ok := into.(interface{ body() any }); ok {
		into = r.body()
	}
	if err := e.Unmarshal(into); err != nil {
		return nil, err
	}
	if r, ok := any(c).(interface{ command() Command }); ok {
		return r.command(), nil
	}
	return c, nil
}
