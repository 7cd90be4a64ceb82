package eventstore

import (
	"reflect"
	"sync"
	"sync/atomic"
	"time"
)

// Share has the payloads of events be decoded once for all who decode them as the same type, if that type holds no pointer,
// slice or map through which one could change what another sees. A copy of an event that was given other Data has no part in
// it. The Spine calls it for events that many organs read.
func Share(events []Event) {
	slots := make([]decoded, len(events))
	for i := range events {
		slots[i].data, events[i].decoded = events[i].Data, &slots[i]
	}
}

// decoded is what a payload was decoded to, if somebody has.
type decoded struct {
	data  []byte
	value atomic.Pointer[any] // of a pointer to it, which only a like type can be taken for
}

// slot is where the payload of an event is shared, nil if it is not.
func (e *Event) slot() *decoded {
	if d := e.decoded; d != nil && len(d.data) > 0 && len(d.data) == len(e.Data) && &d.data[0] == &e.Data[0] {
		return d
	}
	return nil
}

// decodedAs returns what the payload of an event was decoded to, if that was an E.
func decodedAs[E any](ev *Event) (e E, ok bool) {
	if d := ev.slot(); d != nil {
		if v := d.value.Load(); v != nil {
			if shared, ok := (*v).(*E); ok {
				return *shared, true
			}
		}
	}
	return e, false
}

// keepDecoded keeps a payload for others.
func keepDecoded[E any](ev *Event, e E) {
	if d := ev.slot(); d != nil && d.value.Load() == nil && isPlain(reflect.TypeFor[E]()) {
		kept := e
		d.value.Store(new(any(&kept)))
	}
}

var plainTypes sync.Map // of bool by reflect.Type

// isPlain reports whether copies of a value share nothing that can be changed.
func isPlain(t reflect.Type) bool {
	if known, ok := plainTypes.Load(t); ok {
		return known.(bool) //nolint:forcetypeassert // nothing else is put there
	}
	plain := findPlain(t)
	plainTypes.Store(t, plain)
	return plain
}

func findPlain(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Struct:
		for f := range t.Fields() {
			if !findPlain(f.Type) && f.Type != reflect.TypeFor[time.Time]() { // whose pointer nobody can follow
				return false
			}
		}
		return true
	case reflect.Array:
		return findPlain(t.Elem())
	case reflect.Chan, reflect.Func, reflect.Interface, reflect.Map, reflect.Pointer, reflect.Slice, reflect.UnsafePointer:
		return false
	default:
		return true
	}
}
