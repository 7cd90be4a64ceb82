package lossless_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/necrostack/necrostack/internal/lossless"
)

// Loose is a state that no rule refuses, and that JSON may change all the same.
type Loose struct {
	Notes   map[string]any
	Limits  []*Limit
	Odd     odd
	Started time.Time
}

type Limit struct{ Most any }

// odd panics on its way into JSON.
type odd bool

func (o odd) MarshalJSON() ([]byte, error) {
	if o {
		panic("odd")
	}
	return []byte("false"), nil
}
func (*odd) UnmarshalJSON([]byte) error { return nil }

func TestStateThatJSONWouldChangeIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(l *Loose)
		want   string // the fault; empty for none
	}{
		"nothing lost": {func(l *Loose) {
			l.Notes, l.Limits, l.Started = map[string]any{"a": "b"}, []*Limit{{}, nil}, time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
		}, ""},
		"a number in an any": {func(l *Loose) { l.Limits = []*Limit{{}, {7}} }, "lossless_test.Loose.Limits[1].Most was 7 and is 7"},
		"in a map":           {func(l *Loose) { l.Notes = map[string]any{"n": 7} }, "lossless_test.Loose.Notes[n] was 7 and is 7"},
		"bytes that are no UTF-8": {
			func(l *Loose) { l.Notes = map[string]any{"n": "\xff"} },
			`lossless_test.Loose.Notes[n] was "\xff" and is "` + "\ufffd" + `"`,
		},
		"a key that is no UTF-8": {func(l *Loose) { l.Notes = map[string]any{"\xff": nil} }, "lossless_test.Loose.Notes was map"},
		"a monotonic clock":      {func(l *Loose) { l.Started = time.Now() }, "lossless_test.Loose.Started was "},
		"a channel":              {func(l *Loose) { l.Notes = map[string]any{"c": make(chan int)} }, "unsupported type"},
		"a panic":                {func(l *Loose) { l.Odd = true }, "panic: odd"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var state Loose
			c.change(&state)
			data, err := lossless.Encode(&state)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), "snapshot of lossless_test.Loose: ") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %q", err, c.want)
			}
			if err != nil {
				return
			}
			if back, err := lossless.Decode[Loose](data); err != nil || !reflect.DeepEqual(back, state) {
				t.Errorf("%+v came back as %+v, %v", state, back, err)
			}
		})
	}
}

// lost is a type of which JSON loses something for certain, in several ways.
type lost struct {
	hidden int    //nolint:unused // JSON does not see it
	Secret string `json:"-"`
	Done   chan int
	Keys   map[[2]int]string
	Self   *lost
	Right  map[string][]time.Time
}

func TestFaultsOfATypeAreReportedTogether(t *testing.T) {
	t.Parallel()
	err := lossless.Faults[lost]()
	for _, want := range []string{
		"lost.hidden is unexported", `lost.Secret has the tag json:"-"`, "lost.Done is a chan int", "lost.Keys has keys of type [2]int",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("it does not say %q:\n%v", want, err)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 4 {
		t.Errorf("%d faults:\n%v", n, err)
	}
	if err := lossless.Faults[Loose](); err != nil {
		t.Errorf("a type that may survive: %v", err)
	}
}

func TestDecodeFailsOnWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, data := range []string{"", "{", `{"Notes":1}`} {
		if got, err := lossless.Decode[Loose]([]byte(data)); err == nil {
			t.Errorf("%q was read as %+v", data, got)
		}
	}
}
