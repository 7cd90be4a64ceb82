package spine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

type (
	Deposit   struct{ Account, By string } // a command
	Deposited struct{ By string }          // an event
	Greeted   struct{ Name string }        // another
	Account   struct{ Deposits int }       // a state
)

func (Deposit) CommandType() string { return "deposit" }
func (c Deposit) StreamID() string  { return c.Account }
func (c Deposit) Validate() error {
	if c.By == "" {
		return errors.New("by is missing")
	}
	return nil
}
func (Deposited) EventType() string { return "deposited" }
func (Greeted) EventType() string   { return "greeted" }

var accounts = organs.Aggregate[Account]{
	Category: "account",
	Evolve:   organs.Evolve[Account]{organs.On(func(a *Account, _ Deposited) { a.Deposits++ })},
	Decide: organs.Decide[Account]{
		organs.Handle(func(_ Account, c Deposit) (organs.Events, error) { return organs.Events{Deposited{c.By}}, nil }),
	},
}

// quiet keeps the logger's lines out of the examples' output.
var quiet = slog.New(slog.DiscardHandler)

// However often a command with an id of its own is sent, and whichever way, it has one effect and one answer.
func ExampleWithID() {
	ctx, store := context.Background(), memory.Open(memory.Config{})
	sp, err := spine.New(store, spine.Config{Logger: quiet}, accounts)
	if err != nil {
		fmt.Println(err)
		return
	}
	deposit := spine.WithID(uuid.MustParse("0190f3a4-5b6c-7d8e-9f00-112233445566"), Deposit{Account: "1", By: "ann"})
	for range 2 {
		r, err := sp.Send(ctx, deposit)
		fmt.Println(r.Position, r.Version(), err)
	}
	if _, err := sp.Post(ctx, deposit); err != nil { // and once more, through the log
		fmt.Println(err)
	}
	if _, err := sp.Drain(ctx); err != nil {
		fmt.Println(err)
	}
	account, version, err := accounts.Load(ctx, store, "1")
	fmt.Println(account.Deposits, version, err)
	// Output:
	// 2 1 <nil>
	// 2 1 <nil>
	// 1 1 <nil>
}

// A reactor sends commands by returning them. Their replies are events, which others may listen to.
func ExamplePost() {
	ctx, store := context.Background(), memory.Open(memory.Config{})
	welcome := organs.Reactor{Name: "welcome", On: organs.Reactions{
		organs.React(func(_ context.Context, e Greeted) (organs.Events, error) {
			return organs.Events{spine.Post(Deposit{Account: e.Name, By: "the house"})}, nil
		}),
	}}
	replies := organs.Reactor{Name: "replies", On: organs.Reactions{
		organs.React(func(_ context.Context, e spine.Accepted) (organs.Events, error) {
			fmt.Println(e.Command, "accepted, events:", e.Events)
			return nil, nil
		}),
	}}
	sp, err := spine.New(store, spine.Config{Logger: quiet}, accounts, welcome, replies)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := sp.Emit(ctx, Greeted{"ann"}); err != nil {
		fmt.Println(err)
	}
	if _, err := sp.Drain(ctx); err != nil {
		fmt.Println(err)
	}
	account, _, err := accounts.Load(ctx, store, "ann")
	fmt.Println(account.Deposits, err)
	// Output:
	// deposit accepted, events: 1
	// 1 <nil>
}

// Middleware stands around every decision: here commands are checked, and only some may give.
func ExampleMiddleware() {
	ctx, store := context.Background(), memory.Open(memory.Config{})
	onlyAnn := spine.Authorizing(func(_ context.Context, in spine.Request) error {
		if in.Metadata.Actor != "ann" {
			return fmt.Errorf("%q may not", in.Metadata.Actor)
		}
		return nil
	})
	cfg := spine.Config{Logger: quiet, Middleware: []spine.Middleware{onlyAnn, spine.Validating()}}
	sp, err := spine.New(store, cfg, accounts)
	if err != nil {
		fmt.Println(err)
		return
	}
	as := func(actor string) context.Context {
		return eventstore.WithMetadata(ctx, eventstore.Metadata{Actor: actor})
	}
	for _, try := range []struct{ actor, by string }{{"bob", "bob"}, {"ann", ""}, {"ann", "ann"}} {
		_, err := sp.Send(as(try.actor), Deposit{Account: "1", By: try.by})
		fmt.Println(err)
	}
	// Output:
	// deposit rejected: "bob" may not
	// deposit rejected: by is missing
	// <nil>
}

// An event that keeps failing is parked, and later ones of its key wait behind it. Once the reason is gone, they are
// redriven, in order.
func Example_redrive() {
	ctx, store := context.Background(), memory.Open(memory.Config{})
	broken := true
	greeter := organs.Reactor{
		Name:   "greeter",
		Policy: spine.Policy{Retry: spine.Retry{Attempts: 2, Base: time.Millisecond}},
		On: organs.Reactions{
			organs.React(func(_ context.Context, e Greeted) (organs.Events, error) {
				if broken {
					return nil, errors.New("no connection to host 17")
				}
				fmt.Println("hello", e.Name)
				return nil, nil
			}),
		},
	}
	sp, err := spine.New(store, spine.Config{Logger: quiet}, greeter)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := sp.Emit(ctx, eventstore.In("door-1", Greeted{"ann"}), eventstore.In("door-1", Greeted{"bob"})); err != nil {
		fmt.Println(err)
	}
	if _, err := sp.Drain(ctx); err != nil {
		fmt.Println(err)
	}
	groups, err := store.ParkedGroups(ctx, eventstore.ParkedFilter{Consumer: "greeter"})
	for _, g := range groups {
		fmt.Printf("%d of %s: %q\n", g.Entries, g.Consumer, g.Group)
	}
	fmt.Println(err)

	broken = false
	fmt.Println(store.Redrive(ctx, eventstore.ParkedFilter{Consumer: "greeter"}))
	if _, err := sp.Drain(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 1 of greeter: "no connection to host #"
	// 1 of greeter: ""
	// <nil>
	// 2 <nil>
	// hello ann
	// hello bob
}

// A competing organ's events are handled by several workers, in no order: for slow side effects that have nothing to do
// with each other.
func Example_competing() {
	ctx, store := context.Background(), memory.Open(memory.Config{})
	mail := organs.Reactor{
		Name:   "mail",
		Policy: spine.Policy{Delivery: spine.Competing, Workers: 4, OnError: spine.ErrorNack, MaxDeliveries: 5},
		On: organs.Reactions{
			organs.React(func(_ context.Context, e eventstore.Recorded[Greeted]) (organs.Events, error) {
				// The event's id serves as the idempotency key of whoever sends the mail.
				return organs.Events{Deposited{e.Payload.Name}}, nil
			}),
		},
	}
	sp, err := spine.New(store, spine.Config{Logger: quiet}, mail)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := sp.Emit(ctx, Greeted{"ann"}, Greeted{"bob"}, Greeted{"cleo"}); err != nil {
		fmt.Println(err)
	}
	if _, err := sp.Drain(ctx); err != nil {
		fmt.Println(err)
	}
	st := sp.Stats()
	fmt.Println(st.Processed, st.Emitted)
	// Output:
	// 3 3
}
