package organs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
	"pgregory.net/rapid"
)

// Trail is a state that shows every event it was made of, in order.
type Trail struct {
	Balance int
	Steps   []string
}

func (l *Trail) add(amount int, what string) {
	l.Balance += amount
	l.Steps = append(slices.Clip(l.Steps), fmt.Sprintf("%s %d", what, amount))
}

// formerEvents has upcasters for what the log holds from earlier days: payments in were once called "paid in", a
// "moved" was one event where there are two now, deposits had another field, and noise means nothing any more.
func formerEvents() eventstore.Config {
	return eventstore.Config{Upcasters: []eventstore.Upcaster{
		eventstore.Rename("paid in", "deposited"),
		eventstore.UpcastFields("deposited", 1, func(f map[string]any) error {
			if sum, old := f["Sum"]; old {
				f["Amount"] = sum
				delete(f, "Sum")
			}
			return nil
		}),
		{Type: "moved", Into: []string{"withdrawn", "arrived"}, Up: func(old eventstore.Raw) ([]eventstore.Raw, error) {
			return []eventstore.Raw{{Type: "withdrawn", Data: old.Data}, {Type: "arrived", Schema: 2, Data: old.Data}}, nil
		}},
		{Type: "noise", Into: []string{"nothing"}, Up: func(eventstore.Raw) ([]eventstore.Raw, error) { return nil, nil }},
	}}
}

// Arrived is a deposit in its present schema.
type Arrived struct{ Amount int }

func (Arrived) EventType() string  { return "arrived" }
func (Arrived) SchemaVersion() int { return 2 }

// appendOld puts events into the log as former programs wrote them.
func appendOld(t interface {
	rapid.TB
	Context() context.Context
}, st *eventstore.Store, s eventstore.Stream, typ, data string, tags ...string,
) {
	c := eventstore.Commit{Appends: []eventstore.Append{{Stream: s, Events: []eventstore.Event{
		{ID: uuid.New(), Type: typ, Data: json.RawMessage(data), Tags: tags},
	}}}}
	if _, err := st.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// trails is an aggregate whose decisions append as many events as the command says.
func trails(every, cache int, rereads bool) organs.Aggregate[Trail] {
	withdrawn := organs.On(func(l *Trail, e Withdrawn) { l.add(-e.Amount, "withdrawn") })
	if rereads {
		withdrawn = organs.On(func(l *Trail, e eventstore.Recorded[Withdrawn]) {
			l.add(-e.Payload.Amount, fmt.Sprintf("withdrawn at %d part %d", e.Version, e.Part))
		})
	}
	return organs.Aggregate[Trail]{
		Category: "account", Cache: cache, Snapshot: organs.Snapshot{Every: every}, Policy: spine.Policy{Partitions: 2},
		Evolve: organs.Evolve[Trail]{
			organs.On(func(l *Trail, e Deposited) { l.add(e.Amount, "deposited") }),
			organs.On(func(l *Trail, e Arrived) { l.add(e.Amount, "arrived") }),
			withdrawn,
		},
		Decide: organs.Decide[Trail]{organs.Handle(func(l Trail, c Withdraw) (out organs.Events, _ error) {
			for range c.Amount {
				out = append(out, Withdrawn{1}, eventstore.In("report-1", Reported{l.Balance}))
			}
			return out, nil
		})},
	}
}

func TestStateFromASnapshotEqualsTheFullFold(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := memory.New()
		st := eventstore.New(b, formerEvents())
		defer st.Close()
		as := trails(rapid.IntRange(1, 7).Draw(t, "every"), rapid.SampledFrom([]int{-1, 1, 0}).Draw(t, "cache"), rapid.Bool().Draw(t, "rereads"))
		var sp *spine.Spine
		restart := func(*rapid.T) {
			var err error
			if sp, err = spine.New(st, once, as); err != nil {
				t.Fatal(err)
			}
		}
		restart(t)
		check := func(t *rapid.T) {
			for _, id := range []string{"1", "2"} {
				got, v, err := as.Load(t.Context(), st, id)
				want, last, errFull := eventstore.Load(t.Context(), st, eventstore.StreamOf("account", id), as.Evolve)
				if fmt.Sprint(got) != fmt.Sprint(want) || v != last || err != nil || errFull != nil {
					t.Fatalf("%s: with snapshots %+v at version %d, %v; without %+v at version %d, %v", id, got, v, err, want, last, errFull)
				}
			}
		}
		id := rapid.SampledFrom([]string{"1", "2"})
		stream := func(t *rapid.T) eventstore.Stream { return eventstore.StreamOf("account", id.Draw(t, "id")) }
		t.Repeat(map[string]func(*rapid.T){
			"restart": restart,
			"send": func(t *rapid.T) {
				if _, err := sp.Send(t.Context(), Withdraw{id.Draw(t, "id"), rapid.IntRange(0, 4).Draw(t, "n")}); err != nil {
					t.Fatal(err)
				}
			},
			"post": func(t *rapid.T) {
				for range rapid.IntRange(1, 5).Draw(t, "commands") {
					if _, err := sp.Post(t.Context(), Withdraw{id.Draw(t, "id"), rapid.IntRange(0, 3).Draw(t, "n")}); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := sp.Drain(t.Context()); err != nil {
					t.Fatal(err)
				}
			},
			"rename": func(t *rapid.T) { appendOld(t, st, stream(t), "paid in", `{"Sum":3}`) },
			"schema": func(t *rapid.T) { appendOld(t, st, stream(t), "deposited", `{"Sum":4}`) },
			"split":  func(t *rapid.T) { appendOld(t, st, stream(t), "moved", `{"Amount":5}`) },
			"drop":   func(t *rapid.T) { appendOld(t, st, stream(t), "noise", `{}`) },
			"load":   check,
		})
		check(t)
	})
}
