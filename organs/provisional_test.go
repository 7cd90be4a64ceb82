package organs_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

func TestSeveralEventsOfOneEntityAreDecidedOnProvisionalStates(t *testing.T) {
	t.Parallel()
	backend := &spied{Backend: memory.New()}
	st := open(t, backend)
	const n = 50
	var saw []int
	sp := newSpine(t, st, accounts(organs.When(payer, func(a Account, e eventstore.Recorded[Requested]) (organs.Events, error) {
		saw = append(saw, a.Balance)
		return organs.Events{Withdrawn{e.Payload.Amount}}, nil
	})))
	appendTo(t, st, "account-a", Deposited{n})
	request(t, st, "a", slices.Repeat([]int{1}, n)...)
	before := len(backend.commits)
	drain(t, sp)
	for i, balance := range saw {
		if balance != n-i {
			t.Fatalf("decision %d saw %d, want %d", i+1, balance, n-i)
		}
	}
	together := 0
	for _, c := range backend.commits[before:] {
		for _, a := range c.Appends {
			together = max(together, len(a.Events))
		}
	}
	if len(saw) != n || together < 2 {
		t.Errorf("%d decisions, at most %d in one commit", len(saw), together)
	}
	wantBalance(t, st, "a", 0)
}

func TestFoldOfRecordedEventsNeverSeesWhatIsNotCommitted(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	const n = 20
	decided := 0
	as := history(organs.When(payer, func(h History, _ eventstore.Recorded[Requested]) (organs.Events, error) {
		want := map[eventstore.Position]bool{}
		for _, ev := range events(t, st, eventstore.InStream("account-a")) {
			want[ev.Position] = true
		}
		for i, x := range h.Entries {
			if !want[x.Position] || x.Version != eventstore.Version(i+1) {
				t.Errorf("decision %d sees %+v as entry %d", decided, x, i)
			}
		}
		if len(h.Entries) != 2*decided || h.Timed != 2*decided {
			t.Errorf("decision %d sees %d entries, %d with a time", decided, len(h.Entries), h.Timed)
		}
		decided++
		return organs.Events{Deposited{1}, Deposited{2}}, nil
	}))
	sp := newSpine(t, st, as)
	request(t, st, "a", slices.Repeat([]int{1}, n)...)
	drain(t, sp)
	if got := len(events(t, st, eventstore.InStream("account-a"))); decided != n || got != 2*n {
		t.Errorf("%d decisions made %d events, want %d and %d", decided, got, n, 2*n)
	}
	if p := parkedOf(t, st, "account"); len(p) > 0 {
		t.Errorf("parked: %+v", p)
	}
}

func TestProvisionalStateIsRolledBackWhenALaterEventFails(t *testing.T) {
	t.Parallel()
	errBad := errors.New("bad payment")
	for name, fail := range map[string]func(Account) (organs.Events, error){
		"error":            func(Account) (organs.Events, error) { return nil, errBad },
		"error and events": func(Account) (organs.Events, error) { return organs.Events{Withdrawn{50}}, errBad },
		"panic":            func(Account) (organs.Events, error) { panic(errBad) },
		"panic in evolve":  func(Account) (organs.Events, error) { return organs.Events{Withdrawn{1}, Refused{}}, nil },
		"nil event":        func(Account) (organs.Events, error) { return organs.Events{Withdrawn{50}, nil}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := open(t, memory.New())
			as := accounts(organs.When(payer, func(a Account, e eventstore.Recorded[Requested]) (organs.Events, error) {
				if e.Payload.Amount == 13 {
					return fail(a)
				}
				return pay(a, e)
			}))
			as.Evolve = append(as.Evolve, organs.On(func(*Account, Refused) { panic(errBad) }))
			sp := newSpine(t, st, as)
			appendTo(t, st, "account-a", Deposited{100})
			request(t, st, "a", 10, 10, 13, 10)
			drain(t, sp)
			send(t, sp, Withdraw{"a", 79})
			send(t, sp, Withdraw{"a", 1})
			if _, err := sp.Send(t.Context(), Withdraw{"a", 1}); !errors.Is(err, errFunds) {
				t.Errorf("error is %v, want %v", err, errFunds)
			}
			p := parkedOf(t, st, "account")
			if len(p) != 2 || p[0].Attempts != 1 || p[1].Attempts != 0 {
				t.Errorf("parked %+v, want the failed payment, and the one behind it untried", p)
			}
		})
	}
}

func TestProvisionalStatesAreRolledBackWhenTheirCommitConflicts(t *testing.T) {
	t.Parallel()
	backend := memory.New()
	st, elsewhere := open(t, backend), open(t, backend)
	asked := 0
	sp := newSpine(t, st, accounts(organs.When(payer, func(a Account, e eventstore.Recorded[Requested]) (organs.Events, error) {
		if asked++; asked == 3 { // the first two are decided, and not committed yet
			appendTo(t, elsewhere, "account-a", Deposited{10})
		}
		return pay(a, e)
	})))
	appendTo(t, st, "account-a", Deposited{25})
	request(t, st, "a", 10, 10, 10, 10)
	drain(t, sp)
	wantBalance(t, st, "a", 5)
	wantLog(t, st, eventstore.OfType("refused"), `payment-a.4@2 refused {"Reason":"insufficient funds"}`)
	if n := sp.Stats().Organs[0].Conflicts; n != 1 {
		t.Errorf("%d conflicts, want 1", n)
	}
	send(t, sp, Withdraw{"a", 5})
}

// A decision that is given up may still run while what came before it is committed and settled.
func TestDecisionThatWasGivenUpChangesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := open(t, memory.New())
		as := accounts(organs.When(payer, func(a Account, e eventstore.Recorded[Requested]) (organs.Events, error) {
			if e.Payload.Amount == 13 {
				time.Sleep(time.Hour)
				return nil, nil
			}
			return pay(a, e)
		}))
		as.Policy.Deadline = time.Second
		sp := newSpine(t, st, as)
		appendTo(t, st, "account-a", Deposited{100})
		request(t, st, "a", 10, 13, 10)
		drain(t, sp)
		p := parkedOf(t, st, "account")
		if len(p) != 2 || p[0].Attempts != 1 || !strings.Contains(p[0].Failures[0].Error, spine.ErrDeadline.Error()) || p[1].Attempts != 0 {
			t.Errorf("parked %+v, want the decision that was given up, and the one behind it", p)
		}
		send(t, sp, Withdraw{"a", 90}) // waits for it to end
		wantBalance(t, st, "a", 0)
	})
}
