package organs_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// first, second and third are the links of a chain, each about 120 bytes of JSON.
type (
	first  link
	second link
	third  link
	link   struct {
		Order    string `json:"order"`
		Trader   string `json:"trader"`
		Symbol   string `json:"symbol"`
		Note     string `json:"note"`
		Quantity int64  `json:"quantity"`
		Price    int64  `json:"price"`
	}
)

func (first) EventType() string  { return "first" }
func (second) EventType() string { return "second" }
func (third) EventType() string  { return "third" }

var sampleLink = first{"order-123456", "trader-98765", "AAPL", "good until filled", 100, 18553}

// pass makes a reactor that turns one link into the next, or into nothing.
func pass[E eventstore.Payload](name string, next func(e E) organs.Events) organs.Reactor {
	return organs.Reactor{Name: name, On: organs.Reactions{
		organs.React(func(_ context.Context, e E) (organs.Events, error) { return next(e), nil }),
	}}
}

// Events through one no-op reactor: append, decode, handle, checkpoint. Appended 100 a commit.
func BenchmarkDispatch(b *testing.B) {
	benchmarkChain(b, "end", 1, pass("end", func(first) organs.Events { return nil }))
}

// Events through three reactors in a row, each handing on one event.
func BenchmarkChainOfThree(b *testing.B) {
	benchmarkChain(b, "end", 3,
		pass("begin", func(e first) organs.Events { return organs.Events{second(e)} }),
		pass("middle", func(e second) organs.Events { return organs.Events{third(e)} }),
		pass("end", func(third) organs.Events { return nil }))
}

func benchmarkChain(b *testing.B, last string, links int, reactors ...spine.Organ) {
	b.Helper()
	const perCommit = 100
	store := memory.Open(memory.Config{})
	sp, err := spine.New(store, spine.Config{Logger: slog.New(slog.DiscardHandler)}, reactors...)
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- sp.Run(ctx) }()
	streams := make([]eventstore.Stream, 1000)
	for i := range streams {
		streams[i] = eventstore.StreamOf("order", fmt.Sprint(i))
	}
	b.ReportAllocs()
	b.ResetTimer()
	for sent := 0; sent < b.N; {
		batch := make([]eventstore.Payload, min(perCommit, b.N-sent))
		for i := range batch {
			batch[i] = eventstore.In(streams[(sent+i)%len(streams)], sampleLink)
		}
		if _, err := sp.Emit(ctx, batch...); err != nil {
			b.Fatal(err)
		}
		sent += len(batch)
	}
	for head := eventstore.Position(0); head < eventstore.Position(links*b.N); {
		if head, err = store.Head(ctx); err != nil {
			b.Fatal(err)
		}
		if err := sp.WaitFor(ctx, last, head); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	stop()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

type deposit struct{ ID string }

func (deposit) CommandType() string { return "deposit one" }
func (c deposit) StreamID() string  { return c.ID }

type depositedOne struct{}

func (depositedOne) EventType() string { return "deposited one" }

var counter = organs.Aggregate[int]{
	Category: "counter",
	Evolve:   organs.Evolve[int]{organs.On(func(n *int, _ depositedOne) { *n++ })},
	Decide: organs.Decide[int]{
		organs.Handle(func(int, deposit) (organs.Events, error) { return organs.Events{depositedOne{}}, nil }),
	},
}

// A command from Send to its result: load from the cache, decide, commit on the expected version.
func BenchmarkCommand(b *testing.B) {
	store := memory.Open(memory.Config{})
	sp, err := spine.New(store, spine.Config{Logger: slog.New(slog.DiscardHandler)}, counter)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	sent := 0
	for b.Loop() {
		if _, err := sp.Send(b.Context(), deposit{"1"}); err != nil {
			b.Fatal(err)
		}
		sent++
	}
	if n, _, err := counter.Load(b.Context(), store, "1"); err != nil || n != sent {
		b.Fatalf("counted %d of %d (%v)", n, sent, err)
	}
}

// A stream of 1,000 events folded into a state.
func BenchmarkLoad1000(b *testing.B) {
	store := memory.Open(memory.Config{})
	events := make([]eventstore.Payload, 1000)
	for i := range events {
		events[i] = depositedOne{}
	}
	if _, err := store.Append(b.Context(), "counter-1", eventstore.NoStream, events...); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if n, _, err := counter.Load(b.Context(), store, "1"); err != nil || n != len(events) {
			b.Fatalf("folded %d of %d (%v)", n, len(events), err)
		}
	}
}
