package organs

import (
	"fmt"
	"reflect"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

// sent are the types of the commands that an organ puts into the log.
func sent(commands []spine.Command) (types []string, faults []error) {
	for i, c := range commands {
		name, err := sentType(c)
		if err != nil {
			faults = append(faults, fmt.Errorf("sends command %d: %w", i+1, err))
			continue
		}
		types = append(types, name)
	}
	return types, faults
}

// sentType holds a command to the rules of spine.TypeOf, which knows types and no values.
func sentType(c spine.Command) (name string, err error) {
	t := reflect.TypeOf(c)
	switch {
	case t == nil:
		return "", fmt.Errorf("it is nil")
	case t.Kind() == reflect.Pointer:
		return "", fmt.Errorf("%s is a pointer: take %s", t, t.Elem())
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("CommandType of %s panics: %v", t, p)
		}
	}()
	name = c.CommandType()
	if err := eventstore.CheckName("command type", name); err != nil {
		return "", fmt.Errorf("%s: %w", t, err)
	}
	return name, nil
}
