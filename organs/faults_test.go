package organs_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/goldentest"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// Payloads and commands that cannot be any.
type (
	Nameless   struct{}
	Panicking  struct{ name *string }
	Mute       struct{} // a command without a name
	Ambiguous  struct{} // a command named as an event is
	Unroutable = spine.Command
)

func (Nameless) EventType() string                           { return "" }
func (p Panicking) EventType() string                        { return *p.name }
func (Mute) CommandType() string                             { return " mute" }
func (Mute) StreamID() string                                { return "1" }
func (Ambiguous) CommandType() string                        { return "deposited" }
func (Ambiguous) StreamID() string                           { return "1" }
func ignore[E any](*Account, E)                              {}
func refuse[C any](Account, C) (organs.Events, error)        { return nil, errFunds }
func react[E any](context.Context, E) (organs.Events, error) { return nil, nil }
func nobody[E any](E) string                                 { return "" }

func TestFaultsAreReportedAllAtOnceWhenTheSpineIsMade(t *testing.T) {
	t.Parallel()
	type (
		as = organs.Aggregate[Account]
		ev = organs.Evolve[Account]
		de = organs.Decide[Account]
	)
	ok := de{organs.Handle(withdraw)}
	cases := []struct {
		name   string
		organs []spine.Organ
	}{
		{"an aggregate of nothing", []spine.Organ{as{}}},
		{"a category with a dash", []spine.Organ{as{Category: "bank-account", Decide: ok}}},
		{"an aggregate that decides nothing", []spine.Organ{as{Category: "account", Evolve: evolve()}}},
		{"empty cases", []spine.Organ{as{Category: "account", Evolve: make(ev, 1), Decide: make(de, 2)}}},
		{"nil functions", []spine.Organ{as{
			Category: "account", Evolve: ev{organs.On[Account, Deposited](nil)},
			Decide: de{
				organs.Handle[Account, Withdraw](nil), organs.When[Account, Requested](nil, refuse[Requested]),
				organs.When(nobody[Reported], (func(Account, Reported) (organs.Events, error))(nil)),
			},
		}}},
		{"types that are no payloads", []spine.Organ{as{
			Category: "account",
			Evolve: ev{
				organs.On(ignore[*Deposited]), organs.On(ignore[eventstore.Payload]), organs.On(ignore[Nameless]),
				organs.On(ignore[Panicking]), organs.On(ignore[eventstore.Recorded[*Deposited]]),
			},
			Decide: append(ok, organs.When(nobody[*Requested], refuse[*Requested])),
		}}},
		{"types that are no commands", []spine.Organ{as{
			Category: "account",
			Decide: de{
				organs.Handle(refuse[*Withdraw]), organs.Handle(refuse[Unroutable]), organs.Handle(refuse[Mute]),
				organs.Handle(refuse[spine.Received[Mute]]),
			},
		}}},
		{"two of a kind", []spine.Organ{as{
			Category: "account", Evolve: append(evolve(), organs.On(ignore[eventstore.Recorded[Deposited]])),
			Decide: de{
				organs.Handle(withdraw), organs.Handle(refuse[spine.Received[Withdraw]]),
				organs.When(payer, pay), organs.When(nobody[Requested], refuse[Requested]),
			},
		}}},
		{"a reactor of nothing", []spine.Organ{organs.Reactor{}}},
		{"faulty reactions", []spine.Organ{organs.Reactor{Name: "clerk", On: organs.Reactions{
			{},
			organs.React[Deposited](nil), organs.React(react[*Withdrawn]), organs.React(react[Nameless]),
			organs.React(react[Reported]), organs.React(react[eventstore.Recorded[Reported]]),
		}}}},
		{"a faulty policy", []spine.Organ{
			organs.Reactor{Name: "clerk", On: organs.Reactions{organs.React(react[Reported])}, Policy: spine.Policy{Partitions: -1, OnError: 9}},
		}},
		{"one name twice", []spine.Organ{
			as{Category: "account", Decide: ok}, organs.Reactor{Name: "account", On: organs.Reactions{organs.React(react[Reported])}},
		}},
		{"one command twice", []spine.Organ{as{Category: "account", Decide: ok}, as{Category: "vault", Decide: ok}}},
		{"a command named as an event", []spine.Organ{
			as{Category: "account", Decide: de{organs.Handle(refuse[Ambiguous])}},
			organs.Reactor{Name: "clerk", On: organs.Reactions{organs.React(react[Deposited])}},
		}},
		{"a nil organ", []spine.Organ{as{Category: "account", Decide: ok}, nil}},
	}
	var got strings.Builder
	for _, c := range cases {
		st := memory.Open(memory.Config{})
		_, err := spine.New(st, once, c.organs...)
		fmt.Fprintf(&got, "# %s\n%v\n\n", c.name, err)
		if err == nil {
			t.Errorf("%s: no fault", c.name)
		}
	}
	goldentest.Check(t, "faults.golden", got.String())
}
