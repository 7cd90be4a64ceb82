package projections

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

type upper string

func (u upper) MarshalText() ([]byte, error) { return []byte(strings.ToUpper(string(u))), nil }

func (u *upper) UnmarshalText(text []byte) error {
	*u = upper(strings.ToLower(string(text)))
	return nil
}

type every struct {
	HTTPStatus int32
	Name       string `view:"called,index"`
	Score      float32
	Done       bool
	At         time.Time
	ID         uuid.UUID
	Blob       []byte
	Raw        json.RawMessage
	Shout      upper
	List       []string
	Size       uint64
	Maybe      *int64
	Nested     struct{ A, B int }
	Skipped    func() `view:"-"`
}

func TestARowComesBackAsItWasKept(t *testing.T) {
	t.Parallel()
	s, err := shapeOf(reflect.TypeFor[every]())
	if err != nil {
		t.Fatal(err)
	}
	want := []eventstore.Column{
		{Name: "http_status", Kind: eventstore.Int},
		{Name: "called", Kind: eventstore.Text, Index: true},
		{Name: "score", Kind: eventstore.Float},
		{Name: "done", Kind: eventstore.Bool},
		{Name: "at", Kind: eventstore.Time},
		{Name: "id", Kind: eventstore.UUID},
		{Name: "blob", Kind: eventstore.Bytes},
		{Name: "raw", Kind: eventstore.JSON, Null: true},
		{Name: "shout", Kind: eventstore.Text},
		{Name: "list", Kind: eventstore.JSON},
		{Name: "size", Kind: eventstore.Int},
		{Name: "maybe", Kind: eventstore.Int, Null: true},
		{Name: "nested", Kind: eventstore.JSON},
	}
	if diff := cmp.Diff(want, s.columns); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	n := int64(-7)
	row := every{
		HTTPStatus: 404, Name: "Zoë", Score: 0.25, Done: true, At: time.Date(2026, 1, 2, 3, 4, 5, 678_901_234, time.FixedZone("", 3600)),
		ID: uuid.Max, Blob: []byte{0, 255}, Raw: json.RawMessage(`{"a": 1}`), Shout: "hey", List: []string{"a"}, Size: math.MaxInt64, Maybe: &n,
	}
	row.Nested.B = 3
	values, err := s.values(reflect.ValueOf(&row).Elem())
	if err != nil {
		t.Fatal(err)
	}
	var got every
	if err := s.row(values, reflect.ValueOf(&got).Elem()); err != nil {
		t.Fatal(err)
	}
	row.At = row.At.UTC().Truncate(time.Microsecond)
	if diff := cmp.Diff(row, got, cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Skipped" }, cmp.Ignore())); diff != "" {
		t.Errorf("(-kept +read):\n%s", diff)
	}
}

func TestWhatCannotBeKeptIsAnErrorThatNamesTheColumn(t *testing.T) {
	t.Parallel()
	for want, row := range map[string]any{
		"column text: the text has a byte 0": struct{ Text string }{"a\x00"},
		"column share: NaN":                  struct{ Share float64 }{math.NaN()},
		"column n: 18446744073709551615":     struct{ N uint64 }{math.MaxUint64},
		"column raw: it is not JSON":         struct{ Raw json.RawMessage }{json.RawMessage("{")},
	} {
		s, err := shapeOf(reflect.TypeOf(row))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.values(reflect.ValueOf(row)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", row, err, want)
		}
	}
}

func TestAStructThatCannotBeATableIsRefusedWithAllItsFaults(t *testing.T) {
	t.Parallel()
	type inner struct{ A int }
	type bad struct {
		inner
		Ready  chan int
		hidden int    //nolint:unused // it is the fault
		Odd    string `view:"odd,unique"`
	}
	_, err := shapeOf(reflect.TypeFor[bad]())
	for _, want := range []string{"field inner is embedded", "field Ready is chan int", "field hidden is not exported", `field Odd: there is no option "unique"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
	if _, err := shapeOf(reflect.TypeFor[int]()); err == nil {
		t.Error("an int was taken for a row")
	}
}
