package viewtest

import (
	"math/rand/v2"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
	"github.com/necrostack/necrostack/spine/spinetest"
)

type (
	opened struct{ Owner string }
	moved  struct {
		From, To string
		Cents    int64
	}
	counted   struct{ Number int64 }
	closed    struct{}
	forgotten struct{ Account string }
)

func (opened) EventType() string    { return "opened" }
func (moved) EventType() string     { return "moved" }
func (counted) EventType() string   { return "counted" }
func (closed) EventType() string    { return "closed" }
func (forgotten) EventType() string { return "forgotten" }

// balance is a row with a column of every kind.
type balance struct {
	Owner   *string `view:"owner,index"`
	Cents   int64   `view:",index"`
	Moves   uint16
	Share   float64
	Open    bool
	Last    uuid.UUID
	Digest  []byte
	Recent  []int64
	Outside map[string]int64
	Note    string `view:"-"`
}

// balances is about accounts: their own streams, and transfers, each of which moves two of them.
func balances() projections.View[balance] {
	return projections.View[balance]{
		Name: "balances",
		On: projections.Folds[balance]{
			projections.On(func(b *balance, e opened) { b.Owner, b.Open = &e.Owner, true }),
			projections.OnKeys(
				func(e eventstore.Recorded[moved]) []string {
					if e.Payload.From == e.Payload.To {
						return []string{e.Payload.From}
					}
					return []string{e.Payload.From, e.Payload.To}
				},
				func(b *balance, e eventstore.Recorded[moved]) {
					b.Moves++
					b.Cents = 3*b.Cents + e.Payload.Cents // so that the order counts
					b.Cents %= 1_000_003
					b.Share = float64(b.Cents) / 8
					b.Last, b.Digest = e.ID, append(b.Digest, byte(e.Payload.Cents))
					b.Recent = append(b.Recent, e.Payload.Cents)
					b.Recent = b.Recent[max(0, len(b.Recent)-5):]
					if b.Outside == nil {
						b.Outside = map[string]int64{}
					}
					b.Outside[e.Payload.To] = e.Payload.Cents
				},
			),
			projections.Delete[balance, closed](),
			projections.DeleteKey[balance](func(e forgotten) string { return e.Account }),
		},
	}
}

// script appends random events about a few accounts.
func script(t *spinetest.Trial, random *rand.Rand, n int) {
	t.Helper()
	for i := range n {
		stream, payload := Event(random, 12, i+1)
		if _, err := t.Store.Append(t.Ctx, stream, eventstore.Any, payload); err != nil {
			t.Fatal(err)
		}
	}
}

// oracle folds events by plain means.
func oracle(t *spinetest.Trial, events []eventstore.Event) map[string]balance {
	t.Helper()
	return balancesByHand(t, events)
}

// want compares a view with the oracle, and returns how many rows there are.
func want(t *spinetest.Trial, rows projections.Rows[balance]) int {
	t.Helper()
	got := list(t.Ctx, t, rows)
	Add(t, &Compared{}, "balances", oracle(t, t.Events(eventstore.All())), got)
	return len(got)
}
