package organs_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// The events, commands and state that most tests use.
type (
	Deposited struct{ Amount int }
	Withdrawn struct{ Amount int }
	Requested struct { // a payment, in a stream of its own
		From   string
		Amount int
	}
	Refused struct{ Reason string }

	Withdraw struct {
		Account string
		Amount  int
	}
	Empty struct{ Account string } // withdraws all there is

	Account struct{ Balance int }
)

func (Deposited) EventType() string { return "deposited" }
func (Withdrawn) EventType() string { return "withdrawn" }
func (Requested) EventType() string { return "requested" }
func (Refused) EventType() string   { return "refused" }

func (Withdraw) CommandType() string { return "withdraw" }
func (c Withdraw) StreamID() string  { return c.Account }
func (Empty) CommandType() string    { return "empty" }
func (c Empty) StreamID() string     { return c.Account }

var errFunds = errors.New("insufficient funds")

func evolve() organs.Evolve[Account] {
	return organs.Evolve[Account]{
		organs.On(func(a *Account, e Deposited) { a.Balance += e.Amount }),
		organs.On(func(a *Account, e Withdrawn) { a.Balance -= e.Amount }),
	}
}

func withdraw(a Account, c Withdraw) (organs.Events, error) {
	if a.Balance < c.Amount {
		return nil, errFunds
	}
	return organs.Events{Withdrawn{c.Amount}}, nil
}

func empty(a Account, _ Empty) (organs.Events, error) {
	if a.Balance == 0 {
		return nil, nil
	}
	return organs.Events{Withdrawn{a.Balance}}, nil
}

// pay decides a requested payment; a refusal is an event of the payment's own stream.
func pay(a Account, e eventstore.Recorded[Requested]) (organs.Events, error) {
	if a.Balance < e.Payload.Amount {
		return organs.Events{eventstore.In(e.Stream, Refused{errFunds.Error()})}, nil
	}
	return organs.Events{Withdrawn{e.Payload.Amount}}, nil
}

func payer(e eventstore.Recorded[Requested]) string { return e.Payload.From }

// accounts is the aggregate with all of its deciders, and more.
func accounts(more ...organs.Decider[Account]) organs.Aggregate[Account] {
	return organs.Aggregate[Account]{
		Category: "account",
		Evolve:   evolve(),
		Decide:   append(organs.Decide[Account]{organs.Handle(withdraw), organs.Handle(empty)}, more...),
	}
}

// once is a configuration without retries and without a log.
var once = spine.Config{Logger: slog.New(slog.DiscardHandler), Policy: spine.Policy{Retry: spine.Retry{Attempts: 1}}}

func open(t testing.TB, b eventstore.Backend) *eventstore.Store {
	t.Helper()
	st := eventstore.New(b, eventstore.Config{})
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

func newSpine(t testing.TB, st *eventstore.Store, os ...spine.Organ) *spine.Spine {
	t.Helper()
	sp, err := spine.New(st, once, os...)
	if err != nil {
		t.Fatal(err)
	}
	return sp
}

func drain(t testing.TB, sp *spine.Spine) {
	t.Helper()
	if _, err := sp.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func appendTo(t testing.TB, st *eventstore.Store, s eventstore.Stream, ps ...eventstore.Payload) eventstore.Result {
	t.Helper()
	r, err := st.Append(t.Context(), s, eventstore.Any, ps...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func send(t testing.TB, sp *spine.Spine, c spine.Command) eventstore.Result {
	t.Helper()
	r, err := sp.Send(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// events reads what a query selects.
func events(t testing.TB, st *eventstore.Store, q eventstore.Query) (all []eventstore.Event) {
	t.Helper()
	for e, err := range st.Read(t.Context(), q, eventstore.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// wantLog compares the events that a query selects, one "stream@version type data" each.
func wantLog(t testing.TB, st *eventstore.Store, q eventstore.Query, want ...string) {
	t.Helper()
	var got []string
	for _, e := range events(t, st, q) {
		got = append(got, fmt.Sprintf("%s@%d %s %s", e.Stream, e.Version, e.Type, e.Data))
	}
	if !slices.Equal(got, want) {
		t.Errorf("log:\n%q\nwant:\n%q", got, want)
	}
}

func wantBalance(t testing.TB, st *eventstore.Store, id string, want int) {
	t.Helper()
	if a, _, err := accounts().Load(t.Context(), st, id); err != nil || a.Balance != want {
		t.Errorf("balance of %s is %d, %v; want %d", id, a.Balance, err, want)
	}
}

// parkedOf lists what a consumer has set aside.
func parkedOf(t testing.TB, st *eventstore.Store, consumer string) (all []eventstore.Parked) {
	t.Helper()
	parker, ok := st.Backend().(eventstore.Parker)
	if !ok {
		t.Fatalf("%T is no Parker", st.Backend())
	}
	for p, err := range parker.Parked(t.Context(), eventstore.ParkedFilter{Consumer: consumer}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// spied is a memory backend that counts reads and keeps the commits and snapshots that it was asked for.
type spied struct {
	*memory.Backend

	mu      sync.Mutex
	reads   int
	yielded int                 // events
	after   eventstore.Position // where the last one began
	commits []eventstore.Commit
	unknown int // how many of the next commits end with an unknown outcome, though they are written
	saved   []eventstore.Snapshot
	spoil   error // of every snapshot that is to be saved or loaded
	hang    bool  // saving and loading snapshots lasts as long as its context
}

func (b *spied) Read(ctx context.Context, q eventstore.Query, r eventstore.Range) iter.Seq2[eventstore.Event, error] {
	b.mu.Lock()
	b.reads, b.after = b.reads+1, r.After
	b.mu.Unlock()
	return func(yield func(eventstore.Event, error) bool) {
		for e, err := range b.Backend.Read(ctx, q, r) {
			b.mu.Lock()
			b.yielded++
			b.mu.Unlock()
			if !yield(e, err) {
				return
			}
		}
	}
}

func (b *spied) Save(ctx context.Context, s eventstore.Snapshot) error {
	if b.hang {
		<-ctx.Done()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.saved = append(b.saved, s); b.spoil != nil {
		return b.spoil
	}
	return b.Backend.Save(ctx, s)
}

func (b *spied) Snapshot(ctx context.Context, fold string, s eventstore.Stream) (eventstore.Snapshot, error) {
	if b.hang {
		<-ctx.Done()
		return eventstore.Snapshot{}, ctx.Err()
	}
	if b.spoil != nil {
		return eventstore.Snapshot{}, b.spoil
	}
	return b.Backend.Snapshot(ctx, fold, s)
}

func (b *spied) Commit(ctx context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.commits = append(b.commits, batch...)
	out, err := b.Backend.Commit(ctx, batch)
	if b.unknown > 0 {
		b.unknown--
		return nil, eventstore.ErrOutcomeUnknown
	}
	return out, err
}

// readsOf counts the reads that a function makes.
func (b *spied) readsOf(f func()) int {
	b.mu.Lock()
	before := b.reads
	b.mu.Unlock()
	f()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reads - before
}

// yieldedBy counts the events that a function has read.
func (b *spied) yieldedBy(f func()) int {
	b.mu.Lock()
	before := b.yielded
	b.mu.Unlock()
	f()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.yielded - before
}
