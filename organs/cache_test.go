package organs_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

func TestRefusalReadsOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	backend := &spied{Backend: memory.New()}
	st := open(t, backend)
	sp := newSpine(t, st, accounts())
	appendTo(t, st, "account-1", Deposited{10})
	send(t, sp, Withdraw{"1", 5})
	last := send(t, sp, Withdraw{"1", 5})
	if _, err := sp.Send(t.Context(), Withdraw{"1", 1}); !errors.Is(err, errFunds) {
		t.Errorf("error is %v, want %v", err, errFunds)
	}
	if backend.after != last.First-1 {
		t.Errorf("it read what comes after position %d, want %d", backend.after, last.First-1)
	}
}

func TestCacheHoldsSoManyStates(t *testing.T) {
	t.Parallel()
	// Sends go to accounts 1, 1, 2, 1: reads are what the cache has not held.
	for _, c := range []struct {
		cache int
		want  [4]int
	}{
		{0, [4]int{1, 0, 1, 0}},
		{2, [4]int{1, 0, 1, 0}},
		{-1, [4]int{1, 1, 1, 1}},
	} {
		t.Run(fmt.Sprint(c.cache), func(t *testing.T) {
			t.Parallel()
			backend := &spied{Backend: memory.New()}
			st := open(t, backend)
			as := accounts()
			as.Cache = c.cache
			sp := newSpine(t, st, as)
			appendTo(t, st, "account-1", Deposited{10})
			appendTo(t, st, "account-2", Deposited{10})
			var got [4]int
			for i, id := range []string{"1", "1", "2", "1"} {
				got[i] = backend.readsOf(func() { send(t, sp, Withdraw{id, 1}) })
			}
			if got != c.want {
				t.Errorf("reads are %v, want %v", got, c.want)
			}
		})
	}
}

func TestTinyCacheForgetsAndStaysRight(t *testing.T) {
	t.Parallel()
	backend := &spied{Backend: memory.New()}
	st := open(t, backend)
	as := accounts()
	as.Cache = 1
	sp := newSpine(t, st, as)
	const ids, each = 10, 20
	for i := range ids {
		appendTo(t, st, eventstore.StreamOf("account", fmt.Sprint(i)), Deposited{each})
	}
	var wg sync.WaitGroup
	for i := range ids * each {
		wg.Go(func() { send(t, sp, Withdraw{fmt.Sprint(i % ids), 1}) })
	}
	wg.Wait()
	for i := range ids {
		wantBalance(t, st, fmt.Sprint(i), 0)
	}
	n := backend.readsOf(func() { // one after the other: at most one of them can be there
		for i := range ids {
			send(t, sp, Empty{fmt.Sprint(i)})
		}
	})
	if n < ids-1 {
		t.Errorf("%d decisions made %d reads: the cache holds more than 1", ids, n)
	}
}

// Ledger is a state that a panic may leave half changed.
type Ledger struct {
	Balance int
	Notes   map[string]int
}

func TestStateOfAPanicIsForgotten(t *testing.T) {
	t.Parallel()
	backend := &spied{Backend: memory.New()}
	st := open(t, backend)
	const evil = 13
	sp := newSpine(t, st, organs.Aggregate[Ledger]{
		Category: "account",
		Evolve: organs.Evolve[Ledger]{
			organs.On(func(l *Ledger, e Deposited) { l.Balance += e.Amount; l.Notes = map[string]int{} }),
			organs.On(func(l *Ledger, e Withdrawn) {
				if l.Balance -= e.Amount; e.Amount == evil {
					panic("in evolve")
				}
			}),
		},
		Decide: organs.Decide[Ledger]{
			organs.Handle(func(l Ledger, c Withdraw) (organs.Events, error) {
				if l.Notes["spoiled"] > 0 {
					t.Error("the state that a decision spoiled is used again")
				}
				if l.Balance < c.Amount {
					return nil, errFunds
				}
				return organs.Events{Withdrawn{c.Amount}}, nil
			}),
			organs.Handle(func(l Ledger, _ Close) (organs.Events, error) {
				l.Notes["spoiled"]++
				panic(errFunds)
			}),
		},
	})
	appendTo(t, st, "account-1", Deposited{20})
	for _, c := range []spine.Command{Withdraw{"1", evil}, Close{"1"}} {
		_, err := sp.Send(t.Context(), c)
		p, ok := errors.AsType[*spine.PanicError](err)
		if !ok || len(p.Stack) == 0 {
			t.Fatalf("%T: error is %v, want a panic with its stack", c, err)
		}
		if _, rejected := errors.AsType[*spine.RejectedError](err); rejected {
			t.Errorf("%T: a panic is no refusal: %v", c, err)
		}
	}
	send(t, sp, Withdraw{"1", 15}) // all of it is still there
	if n := backend.readsOf(func() { send(t, sp, Withdraw{"1", 5}) }); n != 0 {
		t.Errorf("%d reads: the state is not kept any more", n)
	}
	wantLog(t, st, eventstore.All(), `account-1@1 deposited {"Amount":20}`, `account-1@2 withdrawn {"Amount":15}`,
		`account-1@3 withdrawn {"Amount":5}`)
}
