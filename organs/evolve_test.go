package organs_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
)

// Entry is what the log gave to an event.
type Entry struct {
	Version  eventstore.Version
	Position eventstore.Position
	Amount   int
}

// History is a state that only recorded events can make.
type History struct {
	Entries []Entry
	Timed   int
}

func history(decide ...organs.Decider[History]) organs.Aggregate[History] {
	return organs.Aggregate[History]{
		Category: "account",
		Evolve: organs.Evolve[History]{
			organs.On(func(h *History, e eventstore.Recorded[Deposited]) {
				h.Entries = append(slices.Clip(h.Entries), Entry{e.Version, e.Position, e.Payload.Amount})
				if !e.Time.IsZero() {
					h.Timed++
				}
			}),
		},
		Decide: decide,
	}
}

func TestFoldOfRecordedEventsSeesThemAsTheLogHasThem(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	check := func(h History) {
		for i, e := range h.Entries {
			if e.Version != eventstore.Version(i+1) || e.Position != eventstore.Position(3*i+2) {
				t.Errorf("entry %d stands at version %d, position %d", i, e.Version, e.Position)
			}
		}
		if h.Timed != len(h.Entries) {
			t.Errorf("%d of %d entries have a time", h.Timed, len(h.Entries))
		}
	}
	as := history(organs.Handle(func(h History, c Withdraw) (organs.Events, error) {
		check(h)
		if len(h.Entries) != c.Amount {
			t.Errorf("decision %d sees %d entries", c.Amount, len(h.Entries))
		}
		return organs.Events{
			eventstore.In("other-1", Refused{}), Deposited{len(h.Entries)}, eventstore.In("other-1", Refused{}),
		}, nil
	}))
	sp := newSpine(t, st, as)
	const n = 10
	for i := range n {
		send(t, sp, Withdraw{"1", i})
	}
	h, v, err := as.Load(t.Context(), st, "1")
	if check(h); err != nil || v != n || len(h.Entries) != n {
		t.Errorf("loaded %d entries at version %d, %v", len(h.Entries), v, err)
	}
}

func TestUnknownEventTypesArePassedOver(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	sp := newSpine(t, st, accounts(organs.Handle(func(Account, Close) (organs.Events, error) {
		return organs.Events{Reported{1}}, nil // the fold does not know it
	})))
	appendTo(t, st, "account-1", Reported{7}, Deposited{10}, Reported{8})
	send(t, sp, Close{"1"})
	if r := send(t, sp, Empty{"1"}); r.Version() != 5 {
		t.Errorf("result is %+v, want version 5", r)
	}
	wantBalance(t, st, "1", 0)
	if n := sp.Stats().Organs[0].Conflicts; n != 0 {
		t.Errorf("%d conflicts without a rival", n)
	}
}

func TestStreamWhoseLastEventAnUpcasterDropsCanBeDecidedOn(t *testing.T) {
	t.Parallel()
	drop := eventstore.Upcaster{Type: "noise", Into: []string{"nothing"}, Up: func(eventstore.Raw) ([]eventstore.Raw, error) { return nil, nil }}
	old := eventstore.UpcastFields("deposited", 1, func(f map[string]any) error { f["Amount"] = f["Sum"]; return nil })
	st := memory.Open(memory.Config{Store: eventstore.Config{Upcasters: []eventstore.Upcaster{drop, old}}})
	defer st.Close()
	c := eventstore.Commit{Appends: []eventstore.Append{{Stream: "account-1", Events: []eventstore.Event{
		{ID: uuid.New(), Type: "deposited", Data: json.RawMessage(`{"Sum":10}`)},
		{ID: uuid.New(), Type: "noise", Data: json.RawMessage(`{}`)},
	}}}}
	if _, err := st.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	sp := newSpine(t, st, accounts())
	for v := range eventstore.Version(2) {
		if r := send(t, sp, Withdraw{"1", 5}); r.Version() != v+3 {
			t.Errorf("result is %+v, want version %d", r, v+3)
		}
	}
	if _, err := sp.Send(t.Context(), Withdraw{"1", 1}); !errors.Is(err, errFunds) {
		t.Errorf("error is %v, want %v", err, errFunds)
	}
}

func TestUndecodableHistoryFailsTheDecisionAndNamesTheEvent(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	sp := newSpine(t, st, accounts())
	bad := eventstore.Event{ID: uuid.New(), Type: "deposited", Data: json.RawMessage(`{"Amount":"much"}`)}
	c := eventstore.Commit{Appends: []eventstore.Append{{Stream: "account-1", Events: []eventstore.Event{bad}}}}
	if _, err := st.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	_, err := sp.Send(t.Context(), Empty{"1"})
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); !ok || !strings.Contains(err.Error(), "deposited at account-1@1") {
		t.Errorf("error is %v, want one that names deposited at account-1@1", err)
	}
}
