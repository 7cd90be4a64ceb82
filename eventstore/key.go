package eventstore

import (
	"errors"
	"fmt"
	"strings"
)

// Key maps an event to the keys it is handled for: rows, instances, entities. Events with a key in common
// keep their order. No key: the event is passed over. It must be pure and safe for concurrent use.
type Key func(e Event) (keys []string, err error)

// ByStream keys by the stream: the default.
func ByStream(e Event) ([]string, error) { return []string{string(e.Stream)}, nil }

// ByTag keys by the values of the tags "name:value", so by several if there are several.
func ByTag(name string) Key {
	return func(e Event) (keys []string, err error) {
		for _, t := range e.Tags {
			if v, ok := strings.CutPrefix(t, name+":"); ok {
				keys = append(keys, v)
			}
		}
		return keys, nil
	}
}

// ByPayload keys by what stands in the payload; events of other types have no key. A case for what cannot be
// a payload fails for every event, so that none is passed over in silence.
func ByPayload(cases ...PayloadKey) Key {
	var faults []error
	for i := range cases {
		faults = append(faults, cases[i].fault)
	}
	fault := errors.Join(faults...)
	return func(e Event) ([]string, error) {
		if fault != nil {
			return nil, fmt.Errorf("key: %w", fault)
		}
		for i := range cases {
			if cases[i].typ == e.Type {
				return cases[i].keys(e)
			}
		}
		return nil, nil
	}
}

// PayloadKey is one case of ByPayload, made by From.
type PayloadKey struct {
	typ   string
	keys  func(Event) ([]string, error)
	fault error
}

// From keys events of E's type. What key is given is for it to look at only.
func From[E Payload](key func(e E) string) PayloadKey {
	name, fault := TypeOf[E]()
	lender := new(Lender[E])
	return PayloadKey{typ: name, fault: fault, keys: func(ev Event) ([]string, error) {
		e, err := lender.Lend(&ev)
		defer lender.Return(e)
		if err != nil {
			return nil, err
		}
		return []string{key(*e)}, nil
	}}
}
