package organs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// request puts requested payments into the log, in streams of their own.
func request(t testing.TB, st *eventstore.Store, from string, amounts ...int) {
	t.Helper()
	var c eventstore.Commit
	for i, n := range amounts {
		e, err := st.Encode(Requested{from, n})
		if err != nil {
			t.Fatal(err)
		}
		s := eventstore.StreamOf("payment", fmt.Sprintf("%s.%d", from, i+1))
		c.Appends = append(c.Appends, eventstore.Append{Stream: s, Events: []eventstore.Event{e}})
	}
	if _, err := st.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func TestEventIsDecidedByTheEntityItConcerns(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	sp := newSpine(t, st, accounts(organs.When(payer, pay)))
	appendTo(t, st, "account-a", Deposited{15})
	request(t, st, "a", 10, 10)
	request(t, st, "b", 10)
	request(t, st, "", 10) // nobody's
	drain(t, sp)
	refused := `refused {"Reason":"insufficient funds"}`
	wantLog(t, st, eventstore.InStream("account-a"), `account-a@1 deposited {"Amount":15}`, `account-a@2 withdrawn {"Amount":10}`)
	wantLog(t, st, eventstore.InStream("payment-a.2").Only("refused"), "payment-a.2@2 "+refused)
	wantLog(t, st, eventstore.InStream("payment-b.1").Only("refused"), "payment-b.1@2 "+refused)
	if n := len(events(t, st, eventstore.All())); n != 8 {
		t.Errorf("%d events, want 8", n)
	}
	for _, e := range events(t, st, eventstore.OfType("withdrawn")) {
		cause := events(t, st, eventstore.InStream("payment-a.1"))[0]
		if e.Metadata.Causation != cause.ID || e.Metadata.Correlation != cause.Metadata.Correlation || e.Metadata.Depth != 1 {
			t.Errorf("metadata is %+v, want it to follow from %s", e.Metadata, cause.ID)
		}
	}
}

func TestEventIsDecidedExactlyOnce(t *testing.T) {
	t.Parallel()
	backend := &spied{Backend: memory.New()}
	st := open(t, backend)
	const n = 40
	appendTo(t, st, "account-a", Deposited{2 * n})
	request(t, st, "a", slices.Repeat([]int{1}, n)...)
	sp := newSpine(t, st, accounts(organs.When(payer, pay)))
	backend.unknown = 2 // a commit is written, but nobody is told
	drain(t, sp)
	drain(t, sp)
	drain(t, newSpine(t, open(t, backend), accounts(organs.When(payer, pay)))) // as after a restart
	wantBalance(t, st, "a", n)
	if got := len(events(t, st, eventstore.OfType("withdrawn"))); got != n || backend.unknown != 0 {
		t.Errorf("%d payments of %d; %d outcomes still to be lost", got, n, backend.unknown)
	}
	send(t, sp, Empty{"a"}) // the states in memory agree
	wantBalance(t, st, "a", 0)
}

func TestFailingDecisionParksOnlyItsKey(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	as := accounts(organs.When(payer, func(a Account, e eventstore.Recorded[Requested]) (organs.Events, error) {
		if e.Payload.Amount < 0 {
			return nil, errors.New("negative amount")
		}
		return pay(a, e)
	}))
	as.Policy = spine.Policy{Partitions: 1} // one lane: it is the key that keeps them apart
	sp := newSpine(t, st, as)
	for _, id := range []string{"a", "b"} {
		appendTo(t, st, eventstore.StreamOf("account", id), Deposited{10})
	}
	request(t, st, "a", -1, 3, 4)
	request(t, st, "b", 3, 4)
	drain(t, sp)
	wantBalance(t, st, "a", 10)
	wantBalance(t, st, "b", 3)
	var got []string
	for _, p := range parkedOf(t, st, "account") {
		text := "waits"
		if len(p.Failures) > 0 {
			text = p.Failures[0].Error
		}
		got = append(got, fmt.Sprintf("%s %d %s", p.Key, p.Attempts, text))
	}
	if want := []string{"a 1 negative amount", "a 0 waits", "a 0 waits"}; !slices.Equal(got, want) {
		t.Errorf("parked %q, want %q", got, want)
	}
}

func TestParkSetsAsideAtOnceAndCommitsWhatWasReturned(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	asked := 0
	as := accounts(organs.When(payer, func(a Account, e eventstore.Recorded[Requested]) (organs.Events, error) {
		if e.Payload.From != "evil" {
			return pay(a, e)
		}
		asked++
		return organs.Events{Withdrawn{1}, eventstore.In(e.Stream, Refused{"blocked"})}, spine.Park(errors.New("blocked"))
	}))
	as.Policy.Retry.Attempts = 5
	sp := newSpine(t, st, as)
	appendTo(t, st, "account-evil", Deposited{10})
	request(t, st, "evil", 3, 4)
	drain(t, sp)
	wantLog(t, st, eventstore.InStream("account-evil").Or(eventstore.OfType("refused")), `account-evil@1 deposited {"Amount":10}`,
		`account-evil@2 withdrawn {"Amount":1}`, `payment-evil.1@2 refused {"Reason":"blocked"}`)
	p := parkedOf(t, st, "account")
	if len(p) != 2 || asked != 1 || p[0].Attempts != 1 || p[0].Failures[0].Error != "blocked" || p[1].Attempts != 0 {
		t.Errorf("asked %d times, parked %+v", asked, p)
	}
	send(t, sp, Withdraw{"evil", 9}) // what was returned with the error is in the cached state
}

func TestErrorOfADecisionIsNotLostBehindABadEvent(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	sp := newSpine(t, st, accounts(organs.When(payer, func(Account, eventstore.Recorded[Requested]) (organs.Events, error) {
		return organs.Events{nil}, errFunds
	})))
	request(t, st, "a", 1)
	drain(t, sp)
	p := parkedOf(t, st, "account")
	if len(p) != 1 {
		t.Fatalf("parked %+v", p)
	}
	for _, want := range []string{"decision on requested", errFunds.Error(), "payload is nil"} {
		if text := p[0].Failures[0].Error; !strings.Contains(text, want) {
			t.Errorf("failure is %q, want %q in it", text, want)
		}
	}
}

func TestEventForAnInvalidIDIsParkedAlone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ id, want string }{
		"NUL":                        {"a\x00b", "key of requested: key \"a\\x00b\" has a NUL"},
		"space":                      {" a", "key of requested: key \" a\" has space around it"},
		"overlong":                   {strings.Repeat("x", 256), "has 256 bytes, more than 255"},
		"overlong with its category": {strings.Repeat("x", 255), "has 263 bytes, more than 255"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := open(t, memory.New())
			as := accounts(organs.When(func(e Requested) string { return e.From }, func(_ Account, e Requested) (organs.Events, error) {
				return organs.Events{Withdrawn{e.Amount}}, nil
			}))
			as.Policy.Partitions = 1
			sp := newSpine(t, st, as)
			appendTo(t, st, "payment-1", Requested{c.id, 1})
			appendTo(t, st, "payment-2", Requested{"b", 2})
			drain(t, sp)
			wantBalance(t, st, "b", -2)
			p := parkedOf(t, st, "account")
			if len(p) != 1 || p[0].Position != 1 || !strings.Contains(p[0].Failures[0].Error, c.want) {
				t.Errorf("parked %+v, want the event at position 1 for %q", p, c.want)
			}
		})
	}
}

func TestUndecodableEventIsParkedAndNotDecided(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	sp := newSpine(t, st, accounts(organs.When(payer, pay)))
	bad := eventstore.Event{ID: uuid.New(), Type: "requested", Data: json.RawMessage(`[]`)}
	c := eventstore.Commit{Appends: []eventstore.Append{{Stream: "payment-1", Events: []eventstore.Event{bad}}}}
	if _, err := st.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	drain(t, sp)
	p := parkedOf(t, st, "account")
	if len(p) != 1 || p[0].Event != bad.ID || !strings.Contains(p[0].Failures[0].Error, "decode requested at payment-1@1") {
		t.Errorf("parked %+v", p)
	}
}

func TestDecisionForNothingIsDone(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	asked := 0
	sp := newSpine(t, st, accounts(organs.When(payer, func(Account, eventstore.Recorded[Requested]) (organs.Events, error) {
		asked++
		return nil, nil
	})))
	request(t, st, "a", 1)
	drain(t, sp)
	drain(t, sp)
	if n := len(events(t, st, eventstore.All())); asked != 1 || n != 1 {
		t.Errorf("asked %d times, %d events in the log; want 1 and 1", asked, n)
	}
}

// Commands and events are decided on one entity at the same time, by two processes.
func TestCommandsAndEventsLoseNoUpdateOfEachOther(t *testing.T) {
	t.Parallel()
	backend := memory.New()
	st := open(t, backend)
	const n = 100
	appendTo(t, st, "account-a", Deposited{4 * n})
	ctx, cancel := context.WithCancel(t.Context())
	var runs, sends sync.WaitGroup
	for range 2 {
		sp := newSpine(t, open(t, backend), accounts(organs.When(payer, pay)))
		runs.Go(func() {
			if err := sp.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		sends.Go(func() {
			for range n {
				send(t, sp, Withdraw{"a", 1})
			}
		})
	}
	request(t, st, "a", slices.Repeat([]int{1}, n)...)
	sends.Wait()
	cancel()
	runs.Wait()
	drain(t, newSpine(t, st, accounts(organs.When(payer, pay)))) // what is left
	wantBalance(t, st, "a", n)
	if p := parkedOf(t, st, "account"); len(p) > 0 {
		t.Errorf("parked: %+v", p)
	}
}
