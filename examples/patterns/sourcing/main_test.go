package main

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs/organstest"
	"github.com/necrostack/necrostack/spine"
)

func Example() {
	main()
	// Output:
	// 1 <nil>
	// 2 <nil>
	// 0 redeem card rejected: the card does not hold as much
	// now {20} at version 2 <nil>
	// then {50} <nil>
}

func TestCardIsNotOverdrawn(t *testing.T) {
	t.Parallel()
	spent := organstest.Given(t, Cards, ToppedUp{50}, Redeemed{30})
	spent.When(Redeem{"c1", 21}).ThenError(ErrBalance).ThenState(Card{20})
	spent.When(Redeem{"c1", 20}).Then(Redeemed{20})
}

func TestCardIsRedeemedNoOftenerThanItHoldsHoweverManyProcessesTry(t *testing.T) {
	t.Parallel()
	backend := memory.New() // two stores on one log are like two processes
	if _, err := eventstore.New(backend, eventstore.Config{}).Append(t.Context(), "card-c1", eventstore.NoStream, ToppedUp{50}); err != nil {
		t.Fatal(err)
	}
	var redeemed atomic.Int64
	var wg sync.WaitGroup
	for range 2 {
		sp, err := spine.New(eventstore.New(backend, eventstore.Config{}), spine.Config{}, Cards)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			wg.Go(func() {
				switch _, err := sp.Send(t.Context(), Redeem{"c1", 10}); {
				case err == nil:
					redeemed.Add(1)
				case !errors.Is(err, ErrBalance):
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	if n := redeemed.Load(); n != 5 {
		t.Errorf("a card that holds 50 was redeemed %d times for 10", n)
	}
}
