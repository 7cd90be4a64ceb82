package eventstore_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// plainPaid holds nothing that could be changed through a copy.
type plainPaid struct {
	Cents int
	To    struct{ Name string }
	At    time.Time
	Codes [2]string
}

func (plainPaid) EventType() string { return "paid" }

// samePaid reads the same events as another type.
type samePaid plainPaid

func (samePaid) EventType() string { return "paid" }

type listPaid struct{ List []int }

func (listPaid) EventType() string { return "paid" }

type mapPaid struct{ In struct{ Map map[string]int } }

func (mapPaid) EventType() string { return "paid" }

type pointerPaid struct{ Array [1]*int }

func (pointerPaid) EventType() string { return "paid" }

type anyPaid struct{ Any any }

func (anyPaid) EventType() string { return "paid" }

// countedPaid counts how often it is decoded.
type countedPaid struct{ Cents int }

func (countedPaid) EventType() string { return "paid" }

var decodedPaid atomic.Int64

func (p *countedPaid) UnmarshalJSON(data []byte) error {
	decodedPaid.Add(1)
	_, err := fmt.Sscanf(string(data), `{"Cents":%d}`, &p.Cents)
	return err
}

func shared(data string) eventstore.Event {
	events := []eventstore.Event{{Type: "paid", Data: []byte(data)}}
	eventstore.Share(events)
	return events[0]
}

func decode[E eventstore.Payload](t *testing.T, ev eventstore.Event) E {
	t.Helper()
	e, err := eventstore.Decode[E](ev)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestSharedPayloadsAreDecodedOnceForAll(t *testing.T) {
	t.Parallel()
	ev := shared(`{"Cents":7}`)
	for range 3 {
		if p := decode[countedPaid](t, ev); p.Cents != 7 {
			t.Errorf("it was decoded to %+v", p)
		}
	}
	if r := decode[eventstore.Recorded[countedPaid]](t, ev); r.Payload.Cents != 7 {
		t.Errorf("it was decoded to %+v", r.Payload)
	}
	if n := decodedPaid.Load(); n != 1 {
		t.Errorf("it was decoded %d times", n)
	}
}

func TestSharedPayloadsOfOtherTypesAreDecodedByThemselves(t *testing.T) {
	t.Parallel()
	ev := shared(`{"Cents":7,"To":{"Name":"x"},"List":[1]}`)
	if p := decode[plainPaid](t, ev); p.Cents != 7 || p.To.Name != "x" {
		t.Errorf("it was decoded to %+v", p)
	}
	if p := decode[samePaid](t, ev); p.Cents != 7 {
		t.Errorf("as another type it was decoded to %+v", p)
	}
	if p := decode[listPaid](t, ev); len(p.List) != 1 {
		t.Errorf("as another type it was decoded to %+v", p)
	}
	if _, err := eventstore.Decode[eventstore.Payload](ev); err == nil {
		t.Error("it was decoded as an interface, which is luck")
	}
}

func TestPayloadsWithSlicesMapsAndPointersAreNeverShared(t *testing.T) {
	t.Parallel()
	ev := shared(`{"List":[1],"In":{"Map":{"x":1}},"Array":[1],"Any":[1]}`)
	for range 2 {
		list := decode[listPaid](t, ev)
		in := decode[mapPaid](t, ev)
		pointer := decode[pointerPaid](t, ev)
		anything := decode[anyPaid](t, ev)
		elements, _ := anything.Any.([]any)
		if list.List[0] != 1 || in.In.Map["x"] != 1 || *pointer.Array[0] != 1 || elements[0] != 1.0 {
			t.Fatal("one sees what another has changed")
		}
		list.List[0], in.In.Map["x"], *pointer.Array[0], elements[0] = 2, 2, 2, 2
	}
}

// A codec or a middleware may hand on a copy of an event with other data.
func TestACopyOfASharedEventWithOtherDataIsReadByItself(t *testing.T) {
	t.Parallel()
	ev := shared(`{"Cents":7}`)
	other := ev
	other.Data = []byte(`{"Cents":8}`)
	clone := ev.Clone()
	copy(clone.Data, `{"Cents":9}`)
	for range 2 { // neither is taken for the other, whoever comes first
		for want, e := range map[int]eventstore.Event{7: ev, 8: other, 9: clone} {
			if p := decode[plainPaid](t, e); p.Cents != want {
				t.Errorf("the payload has %d, want %d", p.Cents, want)
			}
		}
	}
}

func TestManyDecodeASharedEventAtOnce(t *testing.T) {
	t.Parallel()
	ev := shared(`{"Cents":7}`)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if p, err := eventstore.Decode[plainPaid](ev); err != nil || p.Cents != 7 {
				t.Errorf("it was decoded to %+v, %v", p, err)
			}
			if p, err := eventstore.Decode[samePaid](ev); err != nil || p.Cents != 7 {
				t.Errorf("it was decoded to %+v, %v", p, err)
			}
		})
	}
	wg.Wait()
}

func TestWhatIsLentIsTheEventsOwnAndWhatIsDecodedIsNot(t *testing.T) {
	t.Parallel()
	type in = eventstore.Recorded[deposited]
	var lender eventstore.Lender[in]
	ev := eventstore.Event{Type: "deposited", Stream: "account-1", Data: []byte(`{"amount":1}`), Tags: []string{"hot"}}
	for range 2 { // what was lent before leaves nothing behind
		lent, err := lender.Lend(&ev)
		if err != nil || lent.Stream != ev.Stream || &lent.Data[0] != &ev.Data[0] || &lent.Tags[0] != &ev.Tags[0] {
			t.Errorf("lent %+v, %v, want the event's own data and tags", lent, err)
		}
		own, err := eventstore.Decode[in](ev)
		if err != nil || own.Payload != lent.Payload || &own.Data[0] == &ev.Data[0] || &own.Tags[0] == &ev.Tags[0] {
			t.Errorf("decoded %+v, %v, want data and tags of its own", own, err)
		}
		lender.Return(lent)
		ev.Stream, ev.Data, ev.Tags = "account-2", []byte(`{"amount":2}`), []string{"cold"}
	}
}

func BenchmarkRecorded(b *testing.B) {
	events := []eventstore.Event{{Type: "deposited", Stream: "account-1", Data: []byte(`{"amount":1}`)}}
	eventstore.Share(events)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := eventstore.Decode[eventstore.Recorded[deposited]](events[0]); err != nil {
			b.Fatal(err)
		}
	}
}
