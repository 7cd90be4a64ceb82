package main

import (
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
)

// Balance is how an account stands: a row of balances.
type Balance struct {
	Owner     string `view:",index"`
	Cents     int64  `view:",index"`
	Movements int
	Last      time.Time // when something happened
}

func (b *Balance) moved(cents int64, at time.Time) {
	b.Cents += cents
	b.Movements++
	b.Last = at
}

// balances keeps a row for each account. A transfer is one event, and changes two.
var balances = projections.View[Balance]{
	Name: "balances",
	On: projections.Folds[Balance]{
		projections.On(func(b *Balance, e eventstore.Recorded[Opened]) { b.Owner, b.Last = e.Payload.Owner, e.Time }),
		projections.On(func(b *Balance, e eventstore.Recorded[Deposited]) { b.moved(e.Payload.Cents, e.Time) }),
		projections.On(func(b *Balance, e eventstore.Recorded[Withdrawn]) { b.moved(-e.Payload.Cents, e.Time) }),
		projections.OnKey(
			func(e eventstore.Recorded[Transferred]) string { return e.Payload.From },
			func(b *Balance, e eventstore.Recorded[Transferred]) { b.moved(-e.Payload.Cents, e.Time) },
		),
		projections.OnKey(
			func(e eventstore.Recorded[Transferred]) string { return e.Payload.To },
			func(b *Balance, e eventstore.Recorded[Transferred]) { b.moved(e.Payload.Cents, e.Time) },
		),
	},
}

// Flow is what went in and out of the bank.
type Flow struct{ Accounts, Deposited, Withdrawn, Transferred int64 }

// flow is asked too rarely for rows to be kept of it.
var flow = projections.Live[Flow]{
	Fold: eventstore.Fold[Flow]{
		eventstore.On(func(f *Flow, _ Opened) { f.Accounts++ }),
		eventstore.On(func(f *Flow, e Deposited) { f.Deposited += e.Cents }),
		eventstore.On(func(f *Flow, e Withdrawn) { f.Withdrawn += e.Cents }),
		eventstore.On(func(f *Flow, e Transferred) { f.Transferred += e.Cents }),
	},
}

// account folds one account's own stream, as its decisions do.
var account = projections.Live[Account]{Fold: evolve}
