package organs_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// bonus is paid into the accounts that its tags name.
type bonus struct{ N int }

func (bonus) EventType() string { return "bonus" }

func bonuses(pay func(id string, a Account, ev eventstore.Event) (organs.Events, error)) organs.Decider[Account] {
	return organs.WhenEvent("bonus", eventstore.ByTag("account"), pay)
}

func give(t *testing.T, st *eventstore.Store, accounts ...string) {
	t.Helper()
	tags := make([]string, len(accounts))
	for i, a := range accounts {
		tags[i] = "account:" + a
	}
	if _, err := st.Emit(t.Context(), eventstore.Draft{Payload: bonus{3}, Tags: tags}); err != nil {
		t.Fatal(err)
	}
}

func TestEventIsDecidedForAllEntitiesItConcerns(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	sp := newSpine(t, st, accounts(bonuses(func(_ string, _ Account, ev eventstore.Event) (organs.Events, error) {
		b, err := eventstore.Decode[bonus](ev)
		return organs.Events{Deposited{b.N}}, err
	})))
	var all []string
	for i := range 60 { // of one event at most 64 tags
		all = append(all, strconv.Itoa(i))
	}
	give(t, st, all...)
	give(t, st, all[:2]...)
	drain(t, sp)
	for i, a := range all {
		want := 3
		if i < 2 {
			want = 6
		}
		wantBalance(t, st, a, want)
	}
}

// Only the entity that cannot decide has the event set aside.
func TestEventThatOneEntityCannotDecideIsDecidedByTheOthers(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func() error{
		"error": func() error { return errors.New("not mine") },
		"panic": func() error { panic("not mine") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := open(t, memory.New())
			broken := accounts(bonuses(func(_ string, a Account, ev eventstore.Event) (organs.Events, error) {
				b, err := eventstore.Decode[bonus](ev)
				if err == nil && a.Balance == 7 {
					return nil, fail()
				}
				return organs.Events{Deposited{b.N}}, err
			}))
			broken.Policy = spine.Policy{Partitions: 1, Retry: spine.Retry{Attempts: 1}}
			sp := newSpine(t, st, broken)
			appendTo(t, st, "account-poor", Deposited{7})
			give(t, st, "a", "poor", "b")
			drain(t, sp)
			give(t, st, "poor", "a", "b") // the key waits, and so this waits behind it
			drain(t, sp)
			wantBalance(t, st, "a", 6)
			wantBalance(t, st, "b", 6)
			wantBalance(t, st, "poor", 7)
			var parked []string
			for p, err := range st.Parked(t.Context(), eventstore.ParkedFilter{}) {
				if err != nil {
					t.Fatal(err)
				}
				parked = append(parked, fmt.Sprint(p.Key, " ", p.Position, " ", p.Attempts > 0))
			}
			if want := []string{"poor 2 true", "poor 5 false"}; !slices.Equal(parked, want) {
				t.Errorf("parked are %q, want %q", parked, want)
			}
		})
	}
}

// Whoever tries a decision may say when a command came, and which event it is that is decided on.
func TestTryTakesWhatIsKnownOfACommandAndOfAnEvent(t *testing.T) {
	t.Parallel()
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	var got []time.Time
	a := organs.Aggregate[struct{}]{Category: "clock", Decide: organs.Decide[struct{}]{
		organs.Handle(func(_ struct{}, r spine.Received[Close]) (organs.Events, error) {
			got = append(got, r.Time)
			return nil, nil
		}),
		organs.WhenEvent("rang", eventstore.ByStream, func(_ string, _ struct{}, ev eventstore.Event) (organs.Events, error) {
			got = append(got, ev.Time)
			return nil, nil
		}),
	}}
	for _, on := range []any{spine.Request{Command: Close{"1"}, Time: at}, eventstore.Event{Type: "rang", Stream: "bell-1", Time: at}} {
		if _, _, err := a.Try(nil, on); err != nil {
			t.Errorf("try %T: %v", on, err)
		}
	}
	if want := []time.Time{at, at}; !slices.Equal(got, want) {
		t.Errorf("times %v, want %v", got, want)
	}
}
