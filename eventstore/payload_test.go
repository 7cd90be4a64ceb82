package eventstore_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

type nameless struct{}

func (nameless) EventType() string { return "" }

type padded struct{}

func (padded) EventType() string { return "padded " }

type panicking struct{ name *string }

func (p panicking) EventType() string { return *p.name }

type thirdSchema struct{ N int }

func (thirdSchema) EventType() string  { return "third schema" }
func (thirdSchema) SchemaVersion() int { return 3 }

func TestTypeOfRefusesWhatCannotBeAPayload(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		of   func() (string, error)
		says string
	}{
		{eventstore.TypeOf[*deposited], "is a pointer: take eventstore_test.deposited"},
		{eventstore.TypeOf[eventstore.Payload], "is an interface"},
		{eventstore.TypeOf[nameless], "event type is empty"},
		{eventstore.TypeOf[padded], "has space around it"},
		{eventstore.TypeOf[panicking], "EventType of the zero value panics"},
		{eventstore.TypeOf[eventstore.Draft], "EventType of the zero value panics"},
		{eventstore.TypeOf[eventstore.Recorded[*deposited]], "is a pointer"},
		{eventstore.TypeOf[eventstore.Recorded[panicking]], "EventType of the zero value panics"},
		{eventstore.TypeOf[*eventstore.Recorded[deposited]], "is a pointer"},
	} {
		if name, err := x.of(); err == nil || name != "" || !strings.Contains(err.Error(), x.says) {
			t.Errorf("it came to %q, %v; the error should say %q", name, err, x.says)
		}
	}
	for _, of := range []func() (string, error){
		eventstore.TypeOf[deposited], eventstore.TypeOf[eventstore.Recorded[deposited]], eventstore.TypeOf[eventstore.Recorded[eventstore.Recorded[deposited]]],
	} {
		if name, err := of(); name != "deposited" || err != nil {
			t.Errorf("a sound payload came to %q, %v", name, err)
		}
	}
	if name := (eventstore.Recorded[deposited]{}).EventType(); name != "deposited" {
		t.Errorf("Recorded has the type %q", name)
	}
}

func TestEncodeSaysAllThatThePayloadSays(t *testing.T) {
	t.Parallel()
	id := uuid.New()
	drafted := eventstore.Draft{
		Payload: eventstore.Draft{Payload: enrolled{"go", "ann"}, ID: uuid.New(), Stream: "inner-1", Tags: []string{"inner"}},
		ID:      id, Stream: "outer-1", Tags: []string{"outer", "course:go"},
	}
	for name, x := range map[string]struct {
		payload eventstore.Payload
		want    eventstore.Event
	}{
		"plain":           {deposited{5}, eventstore.Event{Type: "deposited", Data: []byte(`{"Amount":5}`)}},
		"pointer":         {&deposited{5}, eventstore.Event{Type: "deposited", Data: []byte(`{"Amount":5}`)}},
		"tagged":          {enrolled{"go", "ann"}, eventstore.Event{Type: "enrolled", Data: []byte(`{"Course":"go","Student":"ann"}`), Tags: []string{"course:go", "student:ann"}}},
		"schema":          {thirdSchema{1}, eventstore.Event{Type: "third schema", Data: []byte(`{"N":1}`), Metadata: eventstore.Metadata{Schema: 3}}},
		"directed":        {eventstore.In("s-1", deposited{5}), eventstore.Event{Type: "deposited", Stream: "s-1", Data: []byte(`{"Amount":5}`)}},
		"the outer draft": {drafted, eventstore.Event{ID: id, Type: "enrolled", Stream: "outer-1", Data: []byte(`{"Course":"go","Student":"ann"}`), Tags: []string{"course:go", "inner", "outer", "student:ann"}}},
	} {
		e, err := eventstore.Encode(x.payload)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if e.Type != x.want.Type || e.Stream != x.want.Stream || string(e.Data) != string(x.want.Data) ||
			!slices.Equal(e.Tags, x.want.Tags) || e.Metadata.Schema != x.want.Metadata.Schema {
			t.Errorf("%s: it came to %+v, not %+v", name, e, x.want)
		}
		if e.ID == uuid.Nil || x.want.ID != uuid.Nil && e.ID != x.want.ID || x.want.ID == uuid.Nil && e.ID.Version() != 7 {
			t.Errorf("%s: its id is %s", name, e.ID)
		}
	}
	if !slices.Equal(drafted.Tags, []string{"outer", "course:go"}) {
		t.Errorf("Encode has changed the draft's tags to %q", drafted.Tags)
	}
}

func TestEncodeRefusesWhatIsNoPayload(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]eventstore.Payload{
		"nil":                   nil,
		"a nil pointer":         (*deposited)(nil),
		"an empty draft":        eventstore.Draft{},
		"a draft of nil":        eventstore.In("s-1", nil),
		"an infinity":           measured{math.Inf(1)},
		"what is not a number":  measured{math.NaN()},
		"a draft of not number": eventstore.In("s-1", measured{math.NaN()}),
	} {
		if e, err := eventstore.Encode(p); !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("%s came to %+v, %v", name, e, err)
		}
	}
	s := opened(t, eventstore.Config{})
	if _, err := s.Append(t.Context(), "s-1", eventstore.Any, deposited{1}, nil); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("an append of a nil payload came to %v", err)
	}
	if _, err := s.Emit(t.Context(), deposited{1}, nil); !errors.Is(err, eventstore.ErrInvalid) || !strings.Contains(err.Error(), "event 2") {
		t.Errorf("an emission of a nil payload came to %v", err)
	}
	if got := all(t, s, eventstore.All()); len(got) > 0 {
		t.Errorf("something was written: %+v", got)
	}
}

func TestDecodeMakesAFreshValueForEveryHandler(t *testing.T) {
	t.Parallel()
	e, err := eventstore.Encode(enrolled{"go", "ann"})
	if err != nil {
		t.Fatal(err)
	}
	e.Metadata.User = map[string]string{"k": "v"}
	r, err := eventstore.Decode[eventstore.Recorded[enrolled]](e)
	if err != nil || r.Payload != (enrolled{"go", "ann"}) || r.ID != e.ID {
		t.Fatalf("it came to %+v, %v", r, err)
	}
	r.Data[2], r.Tags[0], r.Metadata.User["k"] = 'X', "spoilt", "spoilt"
	again, err := eventstore.Decode[eventstore.Recorded[enrolled]](e)
	if err != nil || again.Payload.Course != "go" || again.Tags[0] != "course:go" || again.Metadata.User["k"] != "v" {
		t.Errorf("one handler has changed another's event to %+v, %v", again, err)
	}
}

func TestDecodeNamesTheEventThatItCannotRead(t *testing.T) {
	t.Parallel()
	for _, data := range []string{`{"Amount":"five"}`, `[]`, `{`, ``, `{"Amount":1e400}`} {
		e := eventstore.Event{Type: "deposited", Stream: "account-1", Version: 7, Data: []byte(data)}
		_, plain := eventstore.Decode[deposited](e)
		_, recorded := eventstore.Decode[eventstore.Recorded[deposited]](e)
		for _, err := range []error{plain, recorded} {
			if err == nil || !strings.Contains(err.Error(), "decode deposited at account-1@7") {
				t.Errorf("%q came to %v", data, err)
			}
		}
	}
}

// bracketed is a codec of its own.
type bracketed struct{ closing string }

func (c bracketed) Encode(p any) ([]byte, error) {
	return fmt.Appendf(nil, "[%d%s", p.(deposited).Amount, c.closing), nil
}

func (bracketed) Decode(data []byte, p any) error {
	_, err := fmt.Sscanf(string(data), "[%d]", &p.(*deposited).Amount)
	return err
}

func TestStoreUsesItsCodecBothWays(t *testing.T) {
	t.Parallel()
	s := opened(t, eventstore.Config{Codec: bracketed{"]"}})
	if _, err := s.Append(t.Context(), "account-1", eventstore.Any, deposited{5}); err != nil {
		t.Fatal(err)
	}
	e := all(t, s, eventstore.All())[0]
	if p, err := eventstore.Decode[deposited](e); string(e.Data) != "[5]" || err != nil || p.Amount != 5 {
		t.Errorf("it stored %s and read %+v, %v", e.Data, p, err)
	}
	sum := eventstore.Fold[int]{eventstore.On(func(n *int, e deposited) { *n += e.Amount })}
	if n, _, err := eventstore.Load(t.Context(), s, "account-1", sum); n != 5 || err != nil {
		t.Errorf("a fold came to %d, %v", n, err)
	}
}

func TestCodecThatMakesNoJSONIsCaught(t *testing.T) {
	t.Parallel()
	for _, closing := range []string{"", "\xff", "] ]"} {
		s := opened(t, eventstore.Config{Codec: bracketed{closing}})
		_, appended := s.Append(t.Context(), "account-1", eventstore.Any, deposited{5})
		_, emitted := s.Emit(t.Context(), deposited{5})
		for _, err := range []error{appended, emitted} {
			if !errors.Is(err, eventstore.ErrInvalid) || !strings.Contains(err.Error(), "data of deposited") {
				t.Errorf("a codec that closes with %q came to %v", closing, err)
			}
		}
	}
}

func TestAppendRefusesAPayloadForAnotherStream(t *testing.T) {
	t.Parallel()
	s := opened(t, eventstore.Config{})
	_, err := s.Append(t.Context(), "account-1", eventstore.Any, eventstore.In("account-1", deposited{1}), eventstore.In("account-2", deposited{2}))
	if !errors.Is(err, eventstore.ErrInvalid) || !strings.Contains(err.Error(), "account-2") {
		t.Errorf("it came to %v", err)
	}
}

func TestEmitWritesToTheStreamsThatPayloadsName(t *testing.T) {
	t.Parallel()
	s := opened(t, eventstore.Config{})
	r, err := s.Emit(t.Context(), deposited{1}, eventstore.In("a-1", deposited{2}), eventstore.In("a-1", deposited{3}), eventstore.In("b-1", deposited{4}), eventstore.In("a-1", deposited{5}))
	if err != nil || r.First != 1 || r.Position != 5 || !slices.Equal(r.Versions, []eventstore.Version{1, 2, 1, 3}) {
		t.Fatalf("it came to %+v, %v", r, err)
	}
	got := all(t, s, eventstore.All())
	if own := eventstore.StreamOf("deposited", got[0].ID.String()); got[0].Stream != own {
		t.Errorf("a payload that names no stream went to %s, not %s", got[0].Stream, own)
	}
	for i, want := range []eventstore.Stream{"a-1", "a-1", "b-1", "a-1"} {
		if p, err := eventstore.Decode[deposited](got[i+1]); got[i+1].Stream != want || p.Amount != i+2 || err != nil {
			t.Errorf("event %d is %+v of %s, %v", i+2, p, got[i+1].Stream, err)
		}
	}
}
