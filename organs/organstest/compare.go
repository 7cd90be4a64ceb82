package organstest

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// list shows payloads, a line each.
func list(payloads []eventstore.Payload) string {
	if len(payloads) == 0 {
		return " none"
	}
	var b strings.Builder
	for _, p := range payloads {
		if plan, ok := p.(organs.Plan); ok {
			fmt.Fprintf(&b, "\n  %s", plan)
		} else {
			fmt.Fprintf(&b, "\n  %T%+v", p, p)
		}
	}
	return b.String()
}

// compare returns the difference between two values, unexported fields included; empty for none.
func compare[T any](want, got T) string {
	all := cmp.Exporter(func(reflect.Type) bool { return true })
	same := cmp.Comparer(func(x, y error) bool { return errors.Is(x, y) || errors.Is(y, x) }) // it has to be symmetric
	id := cmp.FilterPath(isPostedID, cmp.Ignore())                                            // its stream says it, too
	return cmp.Diff(want, got, all, same, id)
}

// isPostedID reports whether a path leads to the id that is inside of what spine.Post makes of a command.
func isPostedID(p cmp.Path) bool {
	if len(p) < 2 || p.Last().Type() != reflect.TypeFor[uuid.UUID]() {
		return false
	}
	d, ok := spine.Post(nil).(eventstore.Draft)
	return ok && p.Index(-2).Type() == reflect.TypeOf(d.Payload)
}

// unite makes no difference between no events and an empty list of them, nor between new ids of commands.
func unite(payloads []eventstore.Payload) []eventstore.Payload {
	if len(payloads) == 0 {
		return nil
	}
	united := make([]eventstore.Payload, len(payloads))
	for i, p := range payloads {
		united[i] = nameless(p)
	}
	return united
}

// commands is the category in which spine.Post puts commands, each in a stream that has the command's id.
const commands = "command"

// nameless takes from a command the id that spine.Post has made for it: a UUIDv7, which nobody can want.
func nameless(p eventstore.Payload) eventstore.Payload {
	switch x := p.(type) {
	case organs.Plan:
		x.Payload = nameless(x.Payload)
		return x
	case eventstore.Draft:
		if id, err := uuid.Parse(x.Stream.ID()); err == nil && id.Version() == 7 && x.Stream.Category() == commands {
			x.Stream = eventstore.StreamOf(commands, "new")
		}
		x.Payload = nameless(x.Payload)
		return x
	default:
		return p
	}
}
