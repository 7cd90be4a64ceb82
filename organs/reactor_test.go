package organs_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// bookkeeper reacts to what happens on accounts, with as many events as the amount says.
func bookkeeper(react func(ctx context.Context, e Deposited) (organs.Events, error)) organs.Reactor {
	return organs.Reactor{Name: "bookkeeper", On: organs.Reactions{organs.React(react)}}
}

func TestReactorMapsAnEventToZeroOrMoreEvents(t *testing.T) {
	t.Parallel()
	for want := range 4 {
		st := open(t, memory.New())
		sp := newSpine(t, st, bookkeeper(func(_ context.Context, e Deposited) (out organs.Events, _ error) {
			for i := range e.Amount {
				out = append(out, Reported{i + 1})
			}
			return out, nil
		}))
		cause := appendTo(t, st, "account-1", Deposited{want})
		drain(t, sp)
		drain(t, sp) // it counts once
		all := events(t, st, eventstore.OfType("reported"))
		if len(all) != want {
			t.Fatalf("%d events, want %d", len(all), want)
		}
		from := events(t, st, eventstore.All())[0]
		for i, e := range all {
			var p Reported
			if err := json.Unmarshal(e.Data, &p); err != nil || p.Balance != i+1 {
				t.Errorf("event %d is %s, %v", i, e.Data, err)
			}
			if e.Stream != "account-1" || e.Version != eventstore.Version(i+2) || e.Position <= cause.Position {
				t.Errorf("event %d went to %s@%d, position %d", i, e.Stream, e.Version, e.Position)
			}
			if e.Metadata.Causation != from.ID || e.Metadata.Correlation != from.Metadata.Correlation || e.Metadata.Depth != 1 {
				t.Errorf("event %d has metadata %+v, want it to follow from %s", i, e.Metadata, from.ID)
			}
		}
	}
}

func TestOutputGoesToTheEventsOwnStreamUnlessDirected(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	sp := newSpine(t, st, bookkeeper(func(_ context.Context, _ Deposited) (organs.Events, error) {
		return organs.Events{
			Reported{1},
			eventstore.In("report-1", Reported{2}), eventstore.In("", Reported{3}),
			eventstore.In("account-1", Reported{4}), eventstore.In("report-1", Reported{5}),
		}, nil
	}))
	appendTo(t, st, "account-1", Deposited{1})
	drain(t, sp)
	wantLog(t, st, eventstore.InStream("account-1"), `account-1@1 deposited {"Amount":1}`,
		`account-1@2 reported {"Balance":1}`, `account-1@3 reported {"Balance":3}`, `account-1@4 reported {"Balance":4}`)
	wantLog(t, st, eventstore.InStream("report-1"), `report-1@1 reported {"Balance":2}`, `report-1@2 reported {"Balance":5}`)
}

func TestReactionsAreChosenByType(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	var got []string
	sp := newSpine(t, st, organs.Reactor{Name: "clerk", On: organs.Reactions{
		organs.React(func(_ context.Context, e eventstore.Recorded[Deposited]) (organs.Events, error) {
			got = append(got, string(e.Stream), e.Type)
			if e.Version != 1 || e.Position != 1 || e.ID == uuid.Nil || e.Payload.Amount != 5 {
				t.Errorf("recorded %+v", e)
			}
			return nil, nil
		}),
		organs.React(func(context.Context, Withdrawn) (organs.Events, error) {
			got = append(got, "withdrawn")
			return nil, nil
		}),
	}})
	appendTo(t, st, "account-1", Deposited{5}, Reported{1}, Withdrawn{5})
	drain(t, sp)
	if s := strings.Join(got, " "); s != "account-1 deposited withdrawn" {
		t.Errorf("reacted to %q", s)
	}
}

func TestUndecodablePayloadIsParkedAtOnceAndNotHandled(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	r := bookkeeper(func(_ context.Context, e Deposited) (organs.Events, error) {
		if e.Amount != 7 {
			t.Errorf("handled %+v", e)
		}
		return organs.Events{eventstore.In("report-1", Reported{e.Amount})}, nil
	})
	r.Policy.Retry.Attempts = 5 // of no use
	bad := eventstore.Event{ID: uuid.New(), Type: "deposited", Data: json.RawMessage(`{"Amount":"much"}`)}
	c := eventstore.Commit{Appends: []eventstore.Append{{Stream: "account-1", Events: []eventstore.Event{bad}}}}
	if _, err := st.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	appendTo(t, st, "account-1", Deposited{8}) // of the same key: it waits
	appendTo(t, st, "account-2", Deposited{7})
	drain(t, newSpine(t, st, r))
	wantLog(t, st, eventstore.InStream("report-1"), `report-1@1 reported {"Balance":7}`)
	p := parkedOf(t, st, "bookkeeper")
	if len(p) != 2 || p[0].Event != bad.ID || p[0].Key != "account-1" || p[0].Attempts != 1 || p[1].Attempts != 0 {
		t.Fatalf("parked %+v", p)
	}
	if text := p[0].Failures[0].Error; !strings.Contains(text, "decode deposited at account-1@1") {
		t.Errorf("failure is %q", text)
	}
}

func TestBadOutputIsAFailureThatNamesItsOrigin(t *testing.T) {
	t.Parallel()
	errOutside := errors.New("no answer from outside")
	for name, c := range map[string]struct {
		out  organs.Events
		err  error
		want []string
	}{
		"nil event":           {organs.Events{Reported{1}, nil}, nil, []string{"reaction to deposited: event 2", "payload is nil"}},
		"nil pointer":         {organs.Events{(*Reported)(nil)}, nil, []string{"reaction to deposited: event 1", "payload is nil"}},
		"directed nil":        {organs.Events{eventstore.In("x", nil)}, nil, []string{"reaction to deposited: event 1", "payload is nil"}},
		"not JSON":            {organs.Events{Unwritable{}}, nil, []string{"reaction to deposited: event 1", "encode unwritable", "unsupported type"}},
		"bad stream":          {organs.Events{eventstore.In(" x", Reported{})}, nil, []string{"stream", "has space around it"}},
		"nil behind an error": {organs.Events{nil}, errOutside, []string{"reaction to deposited", errOutside.Error(), "payload is nil"}},
		"nil, parked":         {organs.Events{nil}, spine.Park(errOutside), []string{errOutside.Error(), "payload is nil"}},
		"only an error":       {organs.Events{Reported{1}}, errOutside, []string{errOutside.Error()}},
		"panic":               {nil, nil, []string{"panic: out of ideas"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := open(t, memory.New())
			sp := newSpine(t, st, bookkeeper(func(context.Context, Deposited) (organs.Events, error) {
				if name == "panic" {
					panic("out of ideas")
				}
				return c.out, c.err
			}))
			appendTo(t, st, "account-1", Deposited{1})
			drain(t, sp)
			wantLog(t, st, eventstore.All(), `account-1@1 deposited {"Amount":1}`)
			p := parkedOf(t, st, "bookkeeper")
			if len(p) != 1 || p[0].Consumer != "bookkeeper" || p[0].Attempts != 1 {
				t.Fatalf("parked %+v", p)
			}
			for _, want := range c.want {
				if text := p[0].Failures[0].Error; !strings.Contains(text, want) {
					t.Errorf("failure is %q, want %q in it", text, want)
				}
			}
		})
	}
}

// Unwritable is a payload that JSON cannot hold.
type Unwritable struct{ F func() }

func (Unwritable) EventType() string { return "unwritable" }

func TestParkedReactionCommitsWhatItReturned(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	asked := 0
	r := bookkeeper(func(context.Context, Deposited) (organs.Events, error) {
		asked++
		return organs.Events{Reported{1}}, spine.Park(errFunds)
	})
	r.Policy.Retry.Attempts = 5
	appendTo(t, st, "account-1", Deposited{1})
	drain(t, newSpine(t, st, r))
	wantLog(t, st, eventstore.All(), `account-1@1 deposited {"Amount":1}`, `account-1@2 reported {"Balance":1}`)
	if p := parkedOf(t, st, "bookkeeper"); len(p) != 1 || asked != 1 || p[0].Failures[0].Error != errFunds.Error() {
		t.Errorf("asked %d times, parked %+v", asked, p)
	}
}

func TestReactorKeepsOrderByItsKey(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	var got []int
	r := bookkeeper(func(_ context.Context, e Deposited) (organs.Events, error) {
		if e.Amount == 1 {
			return nil, errFunds
		}
		got = append(got, e.Amount)
		return nil, nil
	})
	r.Key = eventstore.ByTag("owner")
	r.Policy.Partitions = 1
	for i, owner := range []string{"ann", "ann", "bob", ""} {
		d := eventstore.Draft{Payload: Deposited{i + 1}}
		if owner != "" {
			d.Tags = []string{"owner:" + owner}
		}
		appendTo(t, st, "account-1", d)
	}
	drain(t, newSpine(t, st, r))
	p := parkedOf(t, st, "bookkeeper")
	if len(p) != 2 || p[0].Key != "ann" || p[1].Key != "ann" || p[1].Position != 2 {
		t.Errorf("parked %+v, want both of ann's", p)
	}
	if len(got) != 1 || got[0] != 3 {
		t.Errorf("handled %v, want bob's alone: the last has no key", got)
	}
}

func TestTryFindsTheReactionWithoutAStore(t *testing.T) {
	t.Parallel()
	r := bookkeeper(func(_ context.Context, e Deposited) (organs.Events, error) {
		return organs.Events{Reported{e.Amount}}, nil
	})
	ev, err := eventstore.Encode(Deposited{4})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := r.Try(t.Context(), ev); err != nil || len(out) != 1 || out[0] != (Reported{4}) {
		t.Errorf("events %v, %v", out, err)
	}
	ev.Type = "other"
	if _, err := r.Try(t.Context(), ev); err == nil || err.Error() != "bookkeeper has no reaction to other" {
		t.Errorf("error is %v", err)
	}
}
