package market_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/necrostack/necrostack/examples/trading/market"
)

// picture shows all that a book's decisions can depend on through its exported methods, order ids in queue order included: it asks
// what an order that buys or sells everything would do.
func picture(b *market.Book) string {
	var s strings.Builder
	for _, side := range []market.Side{market.Sell, market.Buy} {
		for l := range b.Levels(side) {
			fmt.Fprintf(&s, "%s %s %d %d\n", side, l.Price, l.Quantity, l.Orders)
		}
		sweep := market.OrderValidated{OrderID: "sweep", Side: side.Opposite(), OrderType: market.Market, Quantity: 1 << 40, Action: market.New}
		s.WriteString(tell(b.Decide(sweep)) + "\n")
	}
	last, _ := b.LastPrice()
	fmt.Fprintf(&s, "%d matches, last %s", b.Matches(), last)
	return s.String()
}

// drawOrder draws a new order, now and then under an id that was used before, or an amendment: mostly of an order that rests, by its
// trader, and often by just what is open.
func drawOrder(t *rapid.T, n int, resting []market.OrderValidated) market.OrderValidated {
	o := market.OrderValidated{
		OrderID:   fmt.Sprint("o", n),
		TraderID:  rapid.SampledFrom([]string{"", "ann", "bob", "cid"}).Draw(t, "trader"),
		Symbol:    "AAPL",
		Side:      rapid.SampledFrom([]market.Side{market.Buy, market.Sell}).Draw(t, "side"),
		Action:    rapid.SampledFrom([]market.Action{market.New, market.New, market.New, market.Reduce, market.Cancel}).Draw(t, "action"),
		OrderType: rapid.SampledFrom([]market.OrderType{market.Limit, market.Limit, market.Limit, market.Market, market.IOC}).Draw(t, "type"),
		Quantity:  rapid.Int64Range(1, 30).Draw(t, "quantity"),
	}
	switch known := rapid.IntRange(0, 9).Draw(t, "known"); {
	case o.Action != market.New && len(resting) > 0 && known > 0:
		target := rapid.SampledFrom(resting).Draw(t, "target")
		o.OrderID, o.TraderID = target.OrderID, target.TraderID
		if rapid.Bool().Draw(t, "all") {
			o.Quantity = target.Quantity
		}
	case o.Action != market.New || known == 0:
		o.OrderID = fmt.Sprint("o", rapid.IntRange(0, n).Draw(t, "id"))
	}
	if o.OrderType != market.Market {
		o.Price = decimal.New(rapid.Int64Range(97, 103).Draw(t, "price"), -1)
		if rapid.Bool().Draw(t, "zeros") {
			o.Price = decimal.RequireFromString(o.Price.StringFixed(3)) // the same price, written longer
		}
	}
	return o
}

func TestTheBookMatchesAsTheSimplestModelDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var live market.Book
		model := naive{taken: map[string]bool{}}
		var log []market.Payload
		for n := range rapid.IntRange(1, 60).Draw(t, "orders") {
			o := drawOrder(t, n, model.orders)
			before := picture(&live)
			events := live.Decide(o)
			if picture(&live) != before {
				t.Fatalf("deciding %+v changed the book", o)
			}
			wantMatches, wantEnd := model.submit(o)
			if got := matchesOf(t, o, events); !slices.Equal(got, wantMatches) {
				t.Fatalf("%+v matched %q, the model %q", o, got, wantMatches)
			}
			if got := events[len(events)-1].EventType(); got != wantEnd {
				t.Fatalf("%+v ended in %s, the model in %s", o, got, wantEnd)
			}
			checkConserved(t, &live, o, events)
			for _, e := range events {
				live.Apply(e)
			}
			log = append(log, events...)
			checkAgainst(t, &live, model)
		}
		var replayed market.Book
		for _, e := range log {
			replayed.Apply(e)
		}
		if picture(&replayed) != picture(&live) {
			t.Fatalf("replayed:\n%s\nlive:\n%s", picture(&replayed), picture(&live))
		}
		for id := range model.taken {
			again := market.OrderValidated{OrderID: id, Action: market.New, Side: market.Buy, OrderType: market.IOC, Quantity: 1}
			if got, want := tell(replayed.Decide(again)), tell(live.Decide(again)); got != want {
				t.Fatalf("replayed: %s, live: %s", got, want)
			}
		}
	})
}

// matchesOf reads the matches from the events and holds both sides of each together.
func matchesOf(t *rapid.T, o market.OrderValidated, events []market.Payload) (matches []string) {
	var maker market.TradeExecuted
	for _, p := range events {
		e, ok := p.(market.TradeExecuted)
		switch {
		case !ok:
			continue
		case e.Maker:
			maker = e
			continue
		}
		mirror := market.TradeExecuted{
			TradeID: e.TradeID, OrderID: e.CounterOrderID, CounterOrderID: e.OrderID, TraderID: maker.TraderID, Symbol: e.Symbol,
			Side: e.Side.Opposite(), Maker: true, Price: e.Price, Quantity: e.Quantity, Day: e.Day,
		}
		if !reflect.DeepEqual(maker, mirror) {
			t.Fatalf("sides differ: %+v and %+v", maker, e)
		}
		if o.OrderType != market.Market && worse(o.Side, e.Price, o.Price) {
			t.Fatalf("%+v traded at %s", o, e.Price)
		}
		matches = append(matches, fmt.Sprintf("%s %s %d %s", e.OrderID, e.CounterOrderID, e.Quantity, e.Price))
	}
	return matches
}

// checkConserved holds that the shares of a new order are all accounted for, at their exact value.
func checkConserved(t *rapid.T, b *market.Book, o market.OrderValidated, events []market.Payload) {
	var traded int64
	var value decimal.Decimal
	taken := map[string]int64{}
	for _, p := range events {
		if e, ok := p.(market.TradeExecuted); ok && !e.Maker {
			traded += e.Quantity
			value = value.Add(e.Price.Mul(decimal.NewFromInt(e.Quantity)))
			taken[e.CounterOrderID] += e.Quantity
		}
	}
	for id, q := range taken {
		filled := slices.ContainsFunc(events, func(p market.Payload) bool {
			f, ok := p.(market.OrderFilled)
			return ok && f.OrderID == id
		})
		if open := b.Open(id); q > open || filled != (q == open) {
			t.Fatalf("maker %s gave %d of %d, filled: %v", id, q, open, filled)
		}
	}
	switch e := events[len(events)-1].(type) {
	case market.OrderFilled:
		if e.Quantity != o.Quantity || traded != o.Quantity || !e.Value.Equal(value) {
			t.Fatalf("%+v of %+v, traded %d worth %s", e, o, traded, value)
		}
	case market.OrderPartialFill:
		if e.Filled != traded || e.Filled+e.Remaining != o.Quantity || !e.Value.Equal(value) {
			t.Fatalf("%+v of %+v, traded %d worth %s", e, o, traded, value)
		}
	}
}

// checkAgainst holds the book against the model, and that it is not crossed.
func checkAgainst(t *rapid.T, b *market.Book, model naive) {
	type key struct {
		side  market.Side
		price string
	}
	want, got := map[key]market.Level{}, map[key]market.Level{}
	for _, o := range model.orders {
		k := key{o.Side, o.Price.String()}
		l := want[k]
		want[k] = market.Level{Quantity: l.Quantity + o.Quantity, Orders: l.Orders + 1}
		if open := b.Open(o.OrderID); open != o.Quantity {
			t.Fatalf("order %s has %d open, in the model %d", o.OrderID, open, o.Quantity)
		}
	}
	best := map[market.Side]decimal.Decimal{}
	for _, side := range []market.Side{market.Buy, market.Sell} {
		var last decimal.Decimal
		for l := range b.Levels(side) {
			got[key{side, l.Price.String()}] = market.Level{Quantity: l.Quantity, Orders: l.Orders}
			if _, ok := best[side]; !ok {
				best[side] = l.Price
			} else if !worse(side.Opposite(), l.Price, last) {
				t.Fatalf("%s level %s comes after %s", side, l.Price, last)
			}
			last = l.Price
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("levels %v, in the model %v", got, want)
	}
	if bid, ask := best[market.Buy], best[market.Sell]; !bid.IsZero() && !ask.IsZero() && !bid.LessThan(ask) {
		t.Fatalf("crossed: bid %s, ask %s", bid, ask)
	}
}

func TestFoldingAForeignHistoryNeverPanics(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var b market.Book
		for range rapid.IntRange(0, 30).Draw(t, "events") {
			id := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "id")
			side := rapid.SampledFrom([]market.Side{market.Buy, market.Sell, ""}).Draw(t, "side")
			q := rapid.Int64Range(-5, 5).Draw(t, "quantity")
			filled := rapid.Int64Range(-5, 5).Draw(t, "filled")
			b.Apply(rapid.SampledFrom([]market.Payload{
				market.OrderQueued{OrderID: id, Side: side, Quantity: q},
				market.OrderPartialFill{OrderID: id, Side: side, Remaining: q, Filled: filled, Rests: true},
				market.TradeExecuted{OrderID: id, Side: side, Quantity: q, Maker: true},
				market.OrderReduced{OrderID: id, Side: side, Quantity: q},
				market.OrderCancelled{OrderID: id, Side: side},
				market.RiskAlert{},
			}).Draw(t, "event"))
		}
		picture(&b)
	})
}
