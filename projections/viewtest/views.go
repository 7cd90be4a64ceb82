package viewtest

import (
	"fmt"
	"math/rand/v2"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
	"github.com/necrostack/necrostack/spine"
)

type (
	// transfer is of a stream of moves.
	transfer struct {
		Moves int
		Sum   int64 `view:",index"`
	}
	// sender is of whoever has sent something.
	sender struct {
		Moves  int
		Sum    int64
		Recent []int64
	}
	// owner is of an account that is open.
	owner struct {
		Name  string `view:",index"`
		Times int
	}
)

// transfers has rows by stream.
func transfers() projections.View[transfer] {
	return projections.View[transfer]{Name: "transfers", On: projections.Folds[transfer]{
		projections.On(func(t *transfer, e moved) { t.Moves, t.Sum = t.Moves+1, fold(t.Sum, e.Cents) }),
	}}
}

// senders has rows by a key.
func senders() projections.View[sender] {
	return projections.View[sender]{Name: "senders", On: projections.Folds[sender]{
		projections.OnKey(func(e moved) string { return e.From }, func(s *sender, e moved) {
			s.Moves, s.Sum = s.Moves+1, fold(s.Sum, e.Cents)
			s.Recent = append(s.Recent, e.Cents)
			s.Recent = s.Recent[max(0, len(s.Recent)-5):]
		}),
	}}
}

// owners has rows that are removed, and come again.
func owners() projections.View[owner] {
	return projections.View[owner]{Name: "owners", On: projections.Folds[owner]{
		projections.On(func(o *owner, e opened) { o.Name, o.Times = e.Owner, o.Times+1 }),
		projections.Delete[owner, closed](),
	}}
}

// fold depends on the order of what is folded.
func fold(sum, cents int64) int64 { return (3*sum + cents) % 1_000_003 }

// Views are views for tests that disturb them, with small batches: by stream, by a key, by keys that several
// streams feed, and with rows that are removed. Each has a number of partitions.
func Views(partitions int) []spine.Organ {
	policy := spine.Policy{Partitions: partitions}
	t, s, b, o := transfers(), senders(), balances(), owners()
	t.Policy, s.Policy, b.Policy, o.Policy = policy, policy, policy, policy
	t.Batch, s.Batch, b.Batch, o.Batch = 21, 15, 17, 13
	return []spine.Organ{t, s, b, o}
}

// Event makes a random event for Views, about one of some accounts, and the stream that it belongs to.
func Event(random *rand.Rand, accounts, number int) (eventstore.Stream, eventstore.Payload) {
	account := func() string { return fmt.Sprint("a", random.IntN(accounts)) }
	own := eventstore.StreamOf("account", account())
	switch random.IntN(12) {
	case 0:
		return own, opened{account()}
	case 1:
		return own, closed{}
	case 2:
		return "audit-1", forgotten{account()}
	default:
		return eventstore.StreamOf("transfer", fmt.Sprint(random.IntN(1+accounts/2))), moved{account(), account(), int64(number)}
	}
}
