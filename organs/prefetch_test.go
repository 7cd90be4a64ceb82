package organs_test

import (
	"fmt"
	"testing"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// oneLane handles all of an organ's events in one partition.
var oneLane = spine.Policy{Partitions: 1}

// withdrawals appends a deposit of 10 for each of n accounts, and posts a withdrawal of an amount from each.
func withdrawals(t testing.TB, st *eventstore.Store, n, amount int) {
	t.Helper()
	commands := make([]spine.Command, n)
	for i := range n {
		appendTo(t, st, eventstore.StreamOf("account", fmt.Sprint(i)), Deposited{10})
		commands[i] = Withdraw{fmt.Sprint(i), amount}
	}
	post(t, st, commands...)
}

func TestStreamsOfManyCommandsAreReadAtOnce(t *testing.T) {
	t.Parallel()
	const n = 100
	reads := map[bool]int{}
	for _, cached := range []bool{true, false} {
		backend := &spied{Backend: memory.New()}
		st := open(t, backend)
		as := accounts()
		if as.Policy = oneLane; !cached { // what is read at once has to be kept somewhere
			as.Cache = -1
		}
		sp := newSpine(t, st, as)
		withdrawals(t, st, n, 4)
		reads[cached] = backend.readsOf(func() { drain(t, sp) })
		for i := range n {
			wantBalance(t, st, fmt.Sprint(i), 6)
		}
	}
	if spared := reads[false] - reads[true]; spared < n*9/10 {
		t.Errorf("%d commands made %d reads, and without a cache %d", n, reads[true], reads[false])
	}
}

func TestRefusalOfWhatWasReadAtOnceLooksAgain(t *testing.T) {
	t.Parallel()
	backend := &spied{Backend: memory.New()}
	st := open(t, backend)
	as := accounts()
	as.Policy = oneLane
	withdrawals(t, st, 2, 11)
	if n := backend.readsOf(func() { drain(t, newSpine(t, st, as)) }); n < 3 {
		t.Errorf("two refusals made %d reads in all: they were decided on what may have been old", n)
	}
	if got := len(events(t, st, eventstore.OfType("command rejected"))); got != 2 {
		t.Errorf("%d commands were refused, want 2", got)
	}
}

func TestStreamThatCannotBeFoldedIsParkedByItself(t *testing.T) {
	t.Parallel()
	const evil = 13
	st := open(t, memory.New())
	as := organs.Aggregate[Account]{
		Category: "account",
		Evolve: organs.Evolve[Account]{organs.On(func(a *Account, e Deposited) {
			if a.Balance += e.Amount; e.Amount == evil {
				panic("in evolve")
			}
		}), organs.On(func(a *Account, e Withdrawn) { a.Balance -= e.Amount })},
		Decide: organs.Decide[Account]{organs.Handle(withdraw)},
		Policy: oneLane,
	}
	appendTo(t, st, "account-3", Deposited{evil})
	withdrawals(t, st, 9, 4)
	drain(t, newSpine(t, st, as))
	parked := parkedOf(t, st, "account")
	if len(parked) != 1 || parked[0].Key != "3" {
		t.Errorf("parked are %+v, want the one of account 3", parked)
	}
	for i := range 9 {
		if i != 3 {
			wantBalance(t, st, fmt.Sprint(i), 6)
		}
	}
}
