package main

import (
	"errors"
	"fmt"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
)

// category is that of the accounts' streams.
const category = "account"

// What happens to an account is in the stream of the account. Amounts are in cents, and positive.
type (
	// Opened is an account's first event.
	Opened struct{ Owner string }
	// Deposited is cash that was paid in.
	Deposited struct{ Cents int64 }
	// Withdrawn is cash that was paid out.
	Withdrawn struct{ Cents int64 }
	// Transferred is money that went from one account to another, and is in the stream of the sender.
	Transferred struct {
		From, To string
		Cents    int64
	}
	// Received is the same transfer, in the stream of the receiver, whose decisions are made of that stream alone. Both are
	// committed together. Read models take a transfer from the sender's event.
	Received struct {
		From  string
		Cents int64
	}
)

// EventType implements eventstore.Payload.
func (Opened) EventType() string { return "account opened" }

// EventType implements eventstore.Payload.
func (Deposited) EventType() string { return "money deposited" }

// EventType implements eventstore.Payload.
func (Withdrawn) EventType() string { return "money withdrawn" }

// EventType implements eventstore.Payload.
func (Transferred) EventType() string { return "money transferred" }

// EventType implements eventstore.Payload.
func (Received) EventType() string { return "transfer received" }

// What may be asked of an account.
type (
	// Open opens an account.
	Open struct{ Account, Owner string }
	// Deposit pays cash in.
	Deposit struct {
		Account string
		Cents   int64
	}
	// Withdraw pays cash out.
	Withdraw struct {
		Account string
		Cents   int64
	}
	// Transfer moves money to another account.
	Transfer struct {
		From, To string
		Cents    int64
	}
)

// CommandType implements spine.Command.
func (Open) CommandType() string { return "open account" }

// CommandType implements spine.Command.
func (Deposit) CommandType() string { return "deposit money" }

// CommandType implements spine.Command.
func (Withdraw) CommandType() string { return "withdraw money" }

// CommandType implements spine.Command.
func (Transfer) CommandType() string { return "transfer money" }

// StreamID implements spine.Command.
func (c Open) StreamID() string { return c.Account }

// StreamID implements spine.Command.
func (c Deposit) StreamID() string { return c.Account }

// StreamID implements spine.Command.
func (c Withdraw) StreamID() string { return c.Account }

// StreamID implements spine.Command.
func (c Transfer) StreamID() string { return c.From }

// most is how many cents one movement may be of, so that no balance comes near what an int64 can hold.
const most = 100_000_000_000

// Account is what decisions about an account are made of.
type Account struct {
	Open  bool
	Cents int64
}

// evolve is how events make an Account.
var evolve = eventstore.Fold[Account]{
	eventstore.On(func(a *Account, _ Opened) { a.Open = true }),
	eventstore.On(func(a *Account, e Deposited) { a.Cents += e.Cents }),
	eventstore.On(func(a *Account, e Withdrawn) { a.Cents -= e.Cents }),
	eventstore.On(func(a *Account, e Transferred) { a.Cents -= e.Cents }),
	eventstore.On(func(a *Account, e Received) { a.Cents += e.Cents }),
}

// accounts decides.
var accounts = organs.Aggregate[Account]{
	Category: category,
	Evolve:   evolve,
	Decide: organs.Decide[Account]{
		organs.Handle(func(a Account, c Open) (organs.Events, error) {
			if a.Open {
				return nil, errors.New("the account is open already")
			}
			return organs.Events{Opened{c.Owner}}, nil
		}),
		organs.Handle(func(a Account, c Deposit) (organs.Events, error) {
			return organs.Events{Deposited{c.Cents}}, a.takes(c.Cents)
		}),
		organs.Handle(func(a Account, c Withdraw) (organs.Events, error) {
			return organs.Events{Withdrawn{c.Cents}}, a.gives(c.Cents)
		}),
		organs.Handle(func(a Account, c Transfer) (organs.Events, error) {
			if c.From == c.To {
				return nil, errors.New("sender and receiver are the same account")
			}
			there := eventstore.In(eventstore.StreamOf(category, c.To), Received{c.From, c.Cents})
			return organs.Events{Transferred(c), there}, a.gives(c.Cents)
		}),
	},
}

// takes is why an account does not take an amount.
func (a Account) takes(cents int64) error {
	switch {
	case !a.Open:
		return errNoAccount
	case cents < 1 || cents > most:
		return fmt.Errorf("the amount is %s, not 0.01 … %s", money(cents), money(most))
	}
	return nil
}

// gives is why an account does not give an amount.
func (a Account) gives(cents int64) error {
	if err := a.takes(cents); err != nil {
		return err
	}
	if a.Cents < cents {
		return fmt.Errorf("there is only %s in the account", money(a.Cents))
	}
	return nil
}

// money is an amount for people.
func money(cents int64) string {
	sign := ""
	if cents < 0 {
		sign, cents = "-", -cents
	}
	return fmt.Sprintf("%s%d.%02d", sign, cents/100, cents%100)
}

var errNoAccount = errors.New("there is no such account")
