package eventstore_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

// placed is at its third schema; it was once called "created".
type placed struct {
	Customer string
	Cents    int64
	Currency string
}

func (placed) EventType() string  { return "placed" }
func (placed) SchemaVersion() int { return 3 }

type placedV2 struct {
	Customer string
	Cents    int64
}

type good struct{}

func (good) EventType() string { return "good" }

var errSpoilt = errors.New("spoilt")

// same is a payload that was made long ago, and that an upcaster returns every time.
var same = json.RawMessage(`{"same":true}`)

func into(types ...string) func(eventstore.Raw) ([]eventstore.Raw, error) {
	return func(old eventstore.Raw) (made []eventstore.Raw, err error) {
		for _, typ := range types {
			made = append(made, eventstore.Raw{Type: typ, Data: old.Data})
		}
		return made, nil
	}
}

func upcasters() []eventstore.Upcaster {
	return []eventstore.Upcaster{
		eventstore.Rename("created", "placed"),
		eventstore.UpcastFields("placed", 1, func(fields map[string]any) error {
			fields["Cents"] = fields["Amount"]
			delete(fields, "Amount")
			return nil
		}),
		eventstore.UpcastAs(2, func(old placedV2) placed { return placed{old.Customer, old.Cents, "EUR"} }),
		{Type: "moved", From: 1, Into: []string{"address", "phone", "good"}, Up: into("address", "phone", "address")},
		{Type: "dropped", From: 1, Up: into()},
		{Type: "same", From: 1, Into: []string{"good"}, Up: func(eventstore.Raw) ([]eventstore.Raw, error) {
			return []eventstore.Raw{{Type: "good", Data: same}}, nil
		}},
		{Type: "spoilt", From: 1, Into: []string{"good"}, Up: func(old eventstore.Raw) ([]eventstore.Raw, error) {
			old.Data[0] = 'X' // what it was given is its own
			return nil, errSpoilt
		}},
		{Type: "exploding", From: 1, Into: []string{"good"}, Up: func(eventstore.Raw) ([]eventstore.Raw, error) { panic("boom") }},
		{Type: "undeclared", From: 1, Into: []string{"good"}, Up: into("other")},
		{Type: "garbled", From: 1, Into: []string{"good"}, Up: func(eventstore.Raw) ([]eventstore.Raw, error) {
			return []eventstore.Raw{{Type: "good", Data: json.RawMessage(`{`)}}, nil
		}},
		{Type: "flooding", From: 1, Into: []string{"good"}, Up: into(strings.Fields(strings.Repeat("good ", 101))...)},
		{Type: "breeding", Into: []string{"breeding too"}, Up: into("breeding too", "breeding too")},
		{Type: "breeding too", Into: []string{"breeding", "good"}, Up: func(old eventstore.Raw) ([]eventstore.Raw, error) {
			if len(old.Data) > 40 {
				return nil, nil // none of its many descendants is left
			}
			return []eventstore.Raw{{Type: "breeding", Data: fmt.Appendf(nil, "[%s]", old.Data)}}, nil
		}},
		{Type: "ping", Into: []string{"pong", "good"}, Up: into("pong")},
		eventstore.Rename("pong", "ping"),
	}
}

// former stores events as old programs left them, and opens the log with the upcasters.
func former(t testing.TB, events ...eventstore.Event) *eventstore.Store {
	t.Helper()
	b := memory.New()
	wrote(t, eventstore.New(b, eventstore.Config{}), "order-1", events...)
	s := eventstore.New(b, eventstore.Config{Upcasters: upcasters()})
	if err := s.Fault(); err != nil {
		t.Fatal(err)
	}
	return s
}

func withSchema(schema int, e eventstore.Event) eventstore.Event {
	e.Metadata.Schema = schema
	return e
}

func TestOldSchemasAreReadAsTheNewest(t *testing.T) {
	t.Parallel()
	want := placed{"ann", 9007199254740993, "EUR"} // no float holds this number
	s := former(t,
		raw("created", `{"Customer":"ann","Amount":9007199254740993}`),
		raw("placed", `{"Customer":"ann","Amount":9007199254740993}`),
		withSchema(1, raw("placed", `{"Amount":9007199254740993,"Customer":"ann"}`)),
		withSchema(2, raw("created", `{"Customer":"ann","Cents":9007199254740993}`)),
		withSchema(2, raw("placed", `{"Customer":"ann","Cents":9007199254740993}`)),
		withSchema(3, raw("placed", `{"Customer":"ann","Cents":9007199254740993,"Currency":"EUR"}`)),
	)
	got := all(t, s, eventstore.OfType("placed"))
	if len(got) != 6 {
		t.Fatalf("%d events are read as placed, not all six", len(got))
	}
	for i, e := range got {
		if p, err := eventstore.Decode[placed](e); err != nil || p != want || e.Metadata.Schema != 3 || e.Part != 0 || e.Position != eventstore.Position(i+1) {
			t.Errorf("position %d part %d: %+v of schema %d, %v", e.Position, e.Part, p, e.Metadata.Schema, err)
		}
	}
	if got := all(t, s, eventstore.OfType("created")); len(got) != 0 {
		t.Errorf("the former name is still read: %+v", got)
	}
	sum := eventstore.Fold[int64]{eventstore.On(func(n *int64, e placed) { *n += e.Cents })}
	if n, v, err := eventstore.Load(t.Context(), s, "order-1", sum); n != 6*want.Cents || v != 6 || err != nil {
		t.Errorf("a fold came to %d at version %d, %v", n, v, err)
	}
}

func TestNumbersStayExactThroughFields(t *testing.T) {
	t.Parallel()
	const numbers = `[9007199254740993,123456789012345678901234567890,0.1000000000000000055511151231257827,1e400,-0,1.0]`
	s := former(t, raw("placed", `{"Amount":`+numbers+`}`))
	e := all(t, s, eventstore.All())[0]
	// UpcastAs reads the next schema into a struct, so the fault names the number; the first step kept it.
	if _, err := eventstore.Decode[placed](e); err == nil {
		t.Fatal("numbers were read as one number")
	}
	b := memory.New()
	wrote(t, eventstore.New(b, eventstore.Config{}), "order-1", raw("placed", `{"Amount":`+numbers+`}`))
	s = eventstore.New(b, eventstore.Config{Upcasters: upcasters()[1:2]})
	if e := all(t, s, eventstore.All())[0]; string(e.Data) != `{"Cents":`+numbers+`}` {
		t.Errorf("the numbers %s became %s", numbers, e.Data)
	}
}

func TestSplitEventHasPartsThatStayTheSame(t *testing.T) {
	t.Parallel()
	s := former(t, raw("moved", `{"to":"x"}`, "tag"), raw("dropped", "{}"), raw("good", "{}"))
	var through eventstore.Position
	ids := map[string]bool{}
	for range 2 {
		parts := 0
		for e, err := range s.Read(t.Context(), eventstore.All(), eventstore.Range{Limit: 1, Through: &through}) {
			if err != nil || e.Part != parts || e.Version != 1 || e.Position != 1 || e.Type != []string{"address", "phone", "address"}[parts] || e.Tags[0] != "tag" {
				t.Fatalf("part %d is %+v, %v", parts, e, err)
			}
			ids[e.ID.String()] = true
			e.Data[0], e.Tags[0] = 'X', "spoilt" // the parts share nothing
			parts++
		}
		if parts != 3 || through != 1 {
			t.Errorf("one stored event was read as %d parts, through %d", parts, through)
		}
	}
	if len(ids) != 3 {
		t.Errorf("three parts, read twice, have %d ids", len(ids))
	}
	if got := all(t, s, eventstore.OfType("phone")); len(got) != 1 || got[0].Part != 1 {
		t.Errorf("who asks for one part gets %+v", got)
	}
	if got := all(t, s, eventstore.All()); len(got) != 4 || got[3].Position != 3 {
		t.Errorf("three parts, nothing and one event were read as %+v", got)
	}
	for e, err := range s.Read(t.Context(), eventstore.OfType("address"), eventstore.Range{}) {
		if err != nil || e.Part != 0 {
			t.Errorf("the first part is %+v, %v", e, err)
		}
		break // and no further part comes
	}
}

func TestUpcastersMayKeepWhatTheyMake(t *testing.T) {
	t.Parallel()
	s := former(t, raw("same", "{}"), raw("same", "{}"))
	for range 2 {
		for _, e := range all(t, s, eventstore.All()) {
			if string(e.Data) != `{"same":true}` {
				t.Fatalf("one reader has changed what another reads: %s", e.Data)
			}
			e.Data[0] = 'X'
		}
	}
}

func TestWhatAnUpcasterFailsOnReachesWhoeverListens(t *testing.T) {
	t.Parallel()
	for typ, says := range map[string]string{
		"spoilt": "upcast spoilt schema 1: spoilt", "exploding": "panic: boom", "undeclared": "makes other, which Into does not name",
		"garbled": "makes good that is not JSON", "flooding": "makes more than 100 events", "breeding": "the chain does not end",
		"ping": "the chain does not end", "pong": "the chain does not end",
	} {
		t.Run(typ, func(t *testing.T) {
			t.Parallel()
			s := former(t, raw(typ, "{}"), raw("good", "{}"))
			got := all(t, s, eventstore.OfType("good"))
			if len(got) != 2 || got[0].Position != 1 || got[1].Position != 2 || string(got[0].Data) != "{}" {
				t.Fatalf("who listens gets %+v", got)
			}
			_, plain := eventstore.Decode[good](got[0])
			_, recorded := eventstore.Decode[eventstore.Recorded[good]](got[0])
			for _, err := range []error{plain, recorded} {
				if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "decode good at order-1@1") {
					t.Errorf("Decode said %v, not %q", err, says)
				}
			}
			if typ == "spoilt" && !errors.Is(plain, errSpoilt) {
				t.Errorf("Decode said %v, which is not the upcaster's error", plain)
			}
			if _, err := eventstore.Decode[good](got[1]); err != nil {
				t.Errorf("another event is spoilt, too: %v", err)
			}
			fold := eventstore.Fold[int]{eventstore.On(func(n *int, _ good) { *n++ })}
			if _, _, err := eventstore.Load(t.Context(), s, "order-1", fold); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("a fold said %v", err)
			}
		})
	}
}

func TestFaultOfAnEventIsNotWrittenWithACopyOfIt(t *testing.T) {
	t.Parallel()
	s := former(t, raw("spoilt", "{}"))
	copied := all(t, s, eventstore.OfType("good"))[0]
	copied.ID = raw("good", "{}").ID
	wrote(t, s, "copy-1", copied)
	if e := all(t, s, eventstore.InStream("copy-1"))[0]; e.Part != 0 || e.Type != "good" {
		t.Errorf("the copy is %+v", e)
	} else if _, err := eventstore.Decode[good](e); err != nil {
		t.Errorf("the copy cannot be read: %v", err)
	}
}

func TestConditionsSeeOldTypes(t *testing.T) {
	t.Parallel()
	for stored, guarded := range map[string]string{"created": "placed", "moved": "phone", "ping": "good", "pong": "good", "good": "good"} {
		c := to("order-2", eventstore.Any, raw("decided", "{}"))
		c.Unless = []eventstore.Condition{{Query: eventstore.InCategory("order").Only(guarded)}}
		if _, err := former(t, raw(stored, "{}")).Commit(t.Context(), c); !errors.Is(err, eventstore.ErrConflict) {
			t.Errorf("the log holds %s, and a commit unless %s came to %v", stored, guarded, err)
		}
		c.Unless[0].Query = eventstore.InCategory("order").Only("unrelated")
		if _, err := former(t, raw(stored, "{}")).Commit(t.Context(), c); err != nil {
			t.Errorf("the log holds %s, and a commit unless unrelated came to %v", stored, err)
		}
	}
}

func TestUpcasterFaultsAreReportedAllAtOnce(t *testing.T) {
	t.Parallel()
	up := into("a")
	err := eventstore.Config{MaxData: -1, Upcasters: []eventstore.Upcaster{
		{Type: "a", From: 1, Up: up},
		{Type: "a", From: 1, Up: up},
		{Type: "b", From: 1},
		{Type: "", From: 1, Up: up},
		{Type: "c", From: -1, Up: up},
		{Type: "d", Up: up},
		eventstore.UpcastAs(1, func(placedV2) *placed { return nil }),
		{Type: "e", From: 1, Into: []string{"e", " f"}, Up: up},
		eventstore.Rename("g", ""),
		eventstore.Upcast("h", 0, func(old json.RawMessage) (json.RawMessage, error) { return old, nil }),
	}}.Validate()
	if !errors.Is(err, eventstore.ErrInvalid) {
		t.Fatalf("it said %v", err)
	}
	for _, says := range []string{
		"upcaster 2: type a schema 1 has two upcasters", "upcaster 3: Up is missing", "upcaster 4: type is empty", "upcaster 5: From is negative",
		"upcaster 6: From is missing", "upcaster 7: ", "upcaster 8: type", "upcaster 9: type is empty", "upcaster 10: From", "negative limit",
	} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("it does not say %q:\n%v", says, err)
		}
	}
	if err := (eventstore.Config{Upcasters: upcasters()}).Validate(); err != nil {
		t.Errorf("sound upcasters: %v", err)
	}
}

func TestUpcastFieldsTakesOneObject(t *testing.T) {
	t.Parallel()
	up := eventstore.UpcastFields("a", 1, func(fields map[string]any) error { fields["new"] = true; return nil })
	for data, want := range map[string]string{
		`{"old":1}`: `{"new":true,"old":1}`, `{}`: `{"new":true}`, `null`: `{"new":true}`, `[]`: "", `1`: "", `{} {}`: "", `{`: "",
	} {
		made, err := up.Up(eventstore.Raw{Type: "a", Data: []byte(data)})
		if (err != nil) != (want == "") || err == nil && (string(made[0].Data) != want || made[0].Schema != 2) {
			t.Errorf("%s came to %+v, %v", data, made, err)
		}
	}
}
