package organs_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/organs"
)

// Loose is a state that no rule refuses, and that JSON may change all the same.
type Loose struct{ Limit any }

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
		"nothing lost":       {func(l *Loose) { l.Limit = "none" }, ""},
		"a number in an any": {func(l *Loose) { l.Limit = 7 }, "organs_test.Loose.Limit was 7 and is 7"},
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
