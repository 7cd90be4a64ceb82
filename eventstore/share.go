package eventstore

import (
	"reflect"
	"sync/atomic"

	"github.com/necrostack/necrostack/internal/plaintype"
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

// kept is a payload that is shared, beside what points to it: who looks for one finds the other.
type kept[E any] struct {
	is      any
	payload E
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
	if d := ev.slot(); d != nil && d.value.Load() == nil && plaintype.Is(reflect.TypeFor[E]()) {
		kept := &kept[E]{payload: e}
		kept.is = &kept.payload
		d.value.Store(&kept.is)
	}
}
