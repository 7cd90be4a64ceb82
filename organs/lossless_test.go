package organs_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/organs"
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

func loose(change func(l *Loose)) organs.Aggregate[Loose] {
	return organs.Aggregate[Loose]{
		Category: "account", Snapshot: organs.Snapshot{Every: 1}, Cache: -1,
		Evolve: organs.Evolve[Loose]{organs.On(func(l *Loose, _ Withdrawn) { change(l) })},
		Decide: organs.Decide[Loose]{organs.Handle(func(_ Loose, c Withdraw) (organs.Events, error) {
			return organs.Events{Withdrawn{c.Amount}}, nil
		})},
	}
}

func TestStateThatJSONWouldChangeIsNeverKept(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(l *Loose)
		want   string // the fault; empty for none
	}{
		"nothing lost": {func(l *Loose) {
			l.Notes, l.Limits, l.Started = map[string]any{"a": "b"}, []*Limit{{}, nil}, time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
		}, ""},
		"a number in an any": {func(l *Loose) { l.Limits = []*Limit{{}, {7}} }, "organs_test.Loose.Limits[1].Most was 7 and is 7"},
		"in a map":           {func(l *Loose) { l.Notes = map[string]any{"n": 7} }, "organs_test.Loose.Notes[n] was 7 and is 7"},
		"bytes that are no UTF-8": {
			func(l *Loose) { l.Notes = map[string]any{"n": "\xff"} },
			`organs_test.Loose.Notes[n] was "\xff" and is "` + "\ufffd" + `"`,
		},
		"a key that is no UTF-8": {func(l *Loose) { l.Notes = map[string]any{"\xff": nil} }, "organs_test.Loose.Notes was map"},
		"a monotonic clock":      {func(l *Loose) { l.Started = time.Now() }, "organs_test.Loose.Started was "},
		"a channel":              {func(l *Loose) { l.Notes = map[string]any{"c": make(chan int)} }, "unsupported type"},
		"a panic":                {func(l *Loose) { l.Odd = true }, "panic: odd"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backend := &spied{Backend: memory.New()}
			st := open(t, backend)
			as := loose(c.change)
			sp := newSpine(t, st, as)
			send(t, sp, Withdraw{"1", 1})
			send(t, sp, Withdraw{"1", 1})
			if (len(backend.saved) == 0) == (c.want == "") {
				t.Errorf("%d snapshots saved", len(backend.saved))
			}
			var state Loose
			c.change(&state)
			err := as.CheckSnapshot(state)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), "snapshot of organs_test.Loose: ") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %q", err, c.want)
			}
			if as.Snapshot.Every = 0; as.CheckSnapshot(state) != nil {
				t.Error("without snapshots there is nothing to lose")
			}
			full, _, err := as.Load(t.Context(), st, "1")
			if err != nil || c.want == "" && !reflect.DeepEqual(full, state) {
				t.Errorf("loaded %+v, %v", full, err)
			}
		})
	}
}
