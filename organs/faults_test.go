package organs_test

import (
	"context"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
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

// Lost is a state of which JSON loses much.
type Lost struct {
	embedded
	*pointed
	Balance int
	notes   []string //nolint:unused // that is why JSON loses it
	Secret  string   `json:"-"`
	Done    chan int
	Deep    map[string][]struct{ Limits []*struct{ most func() } }
	Keys    map[[2]int]time.Time
	At      map[netip.Addr]big.Int // these write themselves
	Again   *Lost
	_       int
}

type (
	embedded struct {
		Seen   bool
		hidden bool //nolint:unused // that is why JSON loses it
	}
	pointed struct{ Seen bool }
)

// Rude panics when it is asked for its name.
type Rude struct{}

func (Rude) CommandType() string { panic("mind your own business") }
func (Rude) StreamID() string    { return "1" }

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
		{"a decision of nothing", []spine.Organ{organs.Decision[Account, Withdraw]{}}},
		{"a decision of no command", []spine.Organ{organs.Decision[Account, *Withdraw]{Category: "bank-account", Evolve: evolve()}}},
		{"a decision with bad folds", []spine.Organ{organs.Decision[Account, spine.Received[Withdraw]]{
			Category: "account", Evolve: append(evolve(), organs.On(ignore[Deposited]), organs.On(ignore[Nameless])),
			Query:  func(spine.Received[Withdraw]) eventstore.Query { panic("not before a command comes") },
			Decide: refuse[spine.Received[Withdraw]],
			Sends:  []spine.Command{Mute{}},
		}}},
		{"a command that two decide", []spine.Organ{as{Category: "account", Decide: ok}, organs.Decision[Account, Withdraw]{
			Category: "account", Evolve: evolve(), Decide: withdraw,
			Query: func(Withdraw) eventstore.Query { return eventstore.All() },
		}}},
		{"commands that cannot be sent", []spine.Organ{
			as{Category: "account", Decide: ok, Sends: []spine.Command{nil, &Withdraw{}, Mute{}, Rude{}, Close{}}},
			organs.Reactor{Name: "clerk", On: organs.Reactions{organs.React(react[Reported])}, Sends: []spine.Command{Withdraw{}, (*Withdraw)(nil)}},
		}},
		{"negative snapshots", []spine.Organ{as{Category: "account", Decide: ok, Snapshot: organs.Snapshot{Every: -1, Version: -2}}}},
		{"a state that JSON loses", []spine.Organ{organs.Aggregate[Lost]{Category: "account", Snapshot: organs.Snapshot{Every: 1}}}},
		{"a nil organ", []spine.Organ{as{Category: "account", Decide: ok}, nil}},
	}
	var got strings.Builder
	bare := eventstore.New(struct{ eventstore.Backend }{memory.New()}, eventstore.Config{})
	_, err := as{Category: "account", Decide: ok, Snapshot: organs.Snapshot{Every: 1}}.Attach(bare)
	fmt.Fprintf(&got, "# snapshots that nobody keeps\n%v\n\n", err)
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

func TestWiringTellsWhatIsSentAndHowKeysHaveChanged(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	sends := []spine.Command{Withdraw{}, spine.Received[Empty]{}, spine.WithID(uuid.New(), Close{})}
	key := func(eventstore.Event) ([]string, error) { return []string{"former"}, nil }
	as := accounts(organs.When(payer, pay))
	as.Sends, as.KeyVersion, as.FormerKey = sends, 3, key
	r := organs.Reactor{Name: "clerk", On: organs.Reactions{organs.React(react[Reported])}, Sends: sends, Key: key, KeyVersion: 3, FormerKey: key}
	d := enrolment()
	d.Sends = sends
	for _, o := range []spine.Organ{as, r, d} {
		w, err := o.Attach(st)
		if err != nil || !slices.Equal(w.Sends, []string{"withdraw", "empty", "close"}) {
			t.Errorf("%s sends %q, %v", w.Name, w.Sends, err)
		}
		if w.Key == nil {
			continue
		}
		if keys, err := w.FormerKey(eventstore.Event{}); w.KeyVersion != 3 || keys[0] != "former" || err != nil {
			t.Errorf("%s has key version %d, formerly %q", w.Name, w.KeyVersion, keys)
		}
	}
	if w, _ := r.Attach(st); w.Key == nil {
		t.Error("the reactor's key is lost")
	}
}
