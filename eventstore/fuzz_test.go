package eventstore_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

// Whatever an event holds, it is decoded into a value that can be written again as it is, or not at all.
func FuzzDecode(f *testing.F) {
	for _, data := range []string{
		`{"Customer":"ann","Cents":1,"Currency":"EUR"}`, `{"Cents":9007199254740993}`, `{"cents":1,"CENTS":2}`, `{"Cents":1e3}`, `{"Cents":1e99}`,
		`{"Customer":"\ud800"}`, "{\"Customer\":\"\xff\"}", `null`, `[]`, `{`, ``, `{"Customer":null}`, strings.Repeat("[", 100),
	} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e := eventstore.Event{Type: "placed", Stream: "order-1", Version: 1, Data: data}
		p, err := eventstore.Decode[placed](e)
		if err != nil {
			if !strings.Contains(err.Error(), "decode placed at order-1@1") {
				t.Fatalf("the error does not name the event: %v", err)
			}
			return
		}
		again, err := eventstore.Encode(p)
		if err != nil {
			t.Fatalf("%+v was decoded and cannot be encoded: %v", p, err)
		}
		if q, err := eventstore.Decode[placed](again); err != nil || q != p {
			t.Fatalf("%+v came back as %+v, %v", p, q, err)
		}
	})
}

// Whatever is offered to the store, it takes what keeps to the rules and gives it back as it was; and
// whatever it has taken, upcasters never stop a read.
func FuzzUpcasters(f *testing.F) {
	f.Add("created", 1, []byte(`{"Customer":"ann","Amount":1}`), "tag", "actor")
	f.Add("placed", 2, []byte(`{"Cents":9007199254740993}`), "", "")
	f.Add("placed", 1, []byte(`[]`), " ", "\xff")
	f.Add("moved", 0, []byte(`null`), "a\x00", "\x00")
	f.Add("breeding", 1, []byte(`{}`), "ü", "ü")
	f.Add("ping", -1, []byte(`0`), strings.Repeat("t", 256), strings.Repeat("a", 70_000))
	f.Fuzz(func(t *testing.T, typ string, schema int, data []byte, tag, actor string) {
		b := memory.New()
		e := eventstore.Event{ID: uuid.UUID{1}, Type: typ, Data: data, Tags: []string{tag}, Metadata: eventstore.Metadata{Schema: schema, Actor: actor}}
		plain := eventstore.New(b, eventstore.Config{})
		if _, err := plain.Commit(t.Context(), to("order-1", eventstore.Any, e)); err != nil {
			sound := json.Valid(data) && utf8.Valid(data) && eventstore.CheckName("type", typ) == nil && eventstore.CheckName("tag", tag) == nil &&
				schema >= 0 && schema < 1<<31 && utf8.ValidString(actor) && !strings.Contains(actor, "\x00") && len(actor) < 1<<16 && len(data) < 1<<20
			if !errors.Is(err, eventstore.ErrInvalid) || sound {
				t.Fatalf("it was refused: %v", err)
			}
			return
		}
		if got := all(t, plain, eventstore.All()); len(got) != 1 || string(got[0].Data) != string(data) || got[0].Type != typ || !utf8.Valid(got[0].Data) || !json.Valid(got[0].Data) {
			t.Fatalf("%q of %q came back as %+v", data, typ, got)
		}
		var through eventstore.Position
		s := eventstore.New(b, eventstore.Config{Upcasters: upcasters()})
		for e, err := range s.Read(t.Context(), eventstore.All(), eventstore.Range{Through: &through}) {
			if err != nil {
				t.Fatal(err)
			}
			if _, err := eventstore.Decode[placed](e); err == nil && !json.Valid(e.Data) {
				t.Fatalf("%q was decoded, which is no JSON", e.Data)
			}
		}
		if through != 1 {
			t.Fatalf("the read came through %d", through)
		}
	})
}
