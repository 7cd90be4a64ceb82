package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/projections"
	"github.com/necrostack/necrostack/spine"
)

type (
	deposit   struct{ Account, N int } // a command
	deposited struct{ N int }
	noted     struct{ N int } // in order, for each account
	mailed    struct{ N int } // in any order
	alarm     struct{ N int }
	account   struct{ Deposits int }
	ledger    struct { // a row
		Deposits int `view:",index"`
		Numbers  []int
	}
)

func (deposit) CommandType() string { return "deposit" }
func (c deposit) StreamID() string  { return fmt.Sprint(c.Account) }
func (deposited) EventType() string { return "deposited" }
func (noted) EventType() string     { return "noted" }
func (mailed) EventType() string    { return "mailed" }
func (alarm) EventType() string     { return "alarm" }

// shape is the definition of the organs.
type shape struct {
	Partitions int // 16 if 0
	Keys       int // version of the clerk's keys
}

// organs are an account that takes commands from the log, a clerk who notes each deposit, in order, a mailer who mails
// it, in any order, and a view of the deposits. What they come to does not depend on who runs them.
func (s shape) organs(broken bool) []spine.Organ {
	policy := spine.Policy{Partitions: s.Partitions}
	accounts := organs.Aggregate[account]{
		Category: "account",
		Evolve:   organs.Evolve[account]{organs.On(func(a *account, _ deposited) { a.Deposits++ })},
		Decide: organs.Decide[account]{organs.Handle(func(_ account, c deposit) (organs.Events, error) {
			return organs.Events{deposited{c.N}}, nil
		})},
		Policy: policy,
	}
	clerk := organs.Reactor{Name: "clerk", Policy: policy, On: organs.Reactions{
		organs.React(func(_ context.Context, e eventstore.Recorded[deposited]) (organs.Events, error) {
			if broken && e.Payload.N == 13 {
				return nil, errors.New("cannot count to thirteen")
			}
			return organs.Events{eventstore.In(eventstore.StreamOf("note", e.Stream.ID()), noted(e.Payload))}, nil
		}),
	}}
	if clerk.KeyVersion = s.Keys; s.Keys > 0 {
		clerk.Key = func(e eventstore.Event) ([]string, error) { return []string{"key of " + e.Stream.ID()}, nil }
		clerk.FormerKey = eventstore.ByStream
	}
	mailer := organs.Reactor{
		Name:   "mailer",
		Policy: spine.Policy{Delivery: spine.Competing, Deadline: time.Second, Visibility: time.Second, MaxDeliveries: 1000},
		On: organs.Reactions{
			organs.React(func(_ context.Context, e eventstore.Recorded[deposited]) (organs.Events, error) {
				return organs.Events{eventstore.In(eventstore.StreamOf("mail", e.Stream.ID()), mailed(e.Payload))}, nil
			}),
		},
	}
	return []spine.Organ{accounts, clerk, mailer, s.ledgers()}
}

// ledgers has a row for each account, with its deposits in order.
func (s shape) ledgers() projections.View[ledger] {
	return projections.View[ledger]{
		Name: "ledgers", Policy: spine.Policy{Partitions: s.Partitions},
		On: projections.Folds[ledger]{projections.On(func(l *ledger, e deposited) {
			l.Deposits++
			l.Numbers = append(l.Numbers, e.N)
		})},
	}
}
