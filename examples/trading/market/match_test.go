package market_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/necrostack/necrostack/examples/trading/market"
)

func dec(s string) decimal.Decimal { return decimal.RequireFromString(s) }

// order reads "b1 ann BUY 100 @ 150.00" (limit), "b1 ann BUY 100 ! 150.00" (immediate-or-cancel), "b1 ann BUY 100" (market),
// "b1 ann reduce 10" and "b1 ann cancel". The trader "-" is none.
func order(line string) market.OrderValidated {
	f := append(strings.Fields(line), "", "", "")
	o := market.OrderValidated{OrderID: f[0], TraderID: f[1], Symbol: "AAPL", Action: market.New, OrderType: market.Market}
	if f[1] == "-" {
		o.TraderID, o.Anonymous = "", true
	}
	switch a := market.Action(f[2]); a {
	case market.Cancel, market.Reduce:
		o.Action, o.OrderType = a, ""
	default:
		o.Side = market.Side(f[2])
	}
	_, _ = fmt.Sscan(f[3], &o.Quantity)
	switch f[4] {
	case "@":
		o.OrderType, o.Price = market.Limit, dec(f[5])
	case "!":
		o.OrderType, o.Price = market.IOC, dec(f[5])
	}
	return o
}

// play decides and folds orders one after another.
func play(b *market.Book, lines ...string) {
	for _, line := range lines {
		for _, e := range b.Decide(order(line)) {
			b.Apply(e)
		}
	}
}

// tell writes events short, one a line.
func tell(events []market.Payload) string {
	var lines []string
	for _, p := range events {
		switch e := p.(type) {
		case market.TradeExecuted:
			role := map[bool]string{true: "maker", false: "taker"}[e.Maker]
			lines = append(lines, fmt.Sprintf("%s %s %s with %s %d @ %s", e.TradeID, role, e.OrderID, e.CounterOrderID, e.Quantity, e.Price))
		case market.OrderFilled:
			lines = append(lines, fmt.Sprintf("filled %s %d avg %s", e.OrderID, e.Quantity, e.AveragePrice))
		case market.OrderPartialFill:
			rest := map[bool]string{true: "rests", false: "dropped"}[e.Rests]
			lines = append(lines, fmt.Sprintf("partial %s %d avg %s, %d %s", e.OrderID, e.Filled, e.AveragePrice, e.Remaining, rest))
		case market.OrderQueued:
			lines = append(lines, fmt.Sprintf("queued %s %d @ %s", e.OrderID, e.Quantity, e.Price))
		case market.OrderReduced:
			lines = append(lines, fmt.Sprintf("reduced %s by %d to %d", e.OrderID, e.Quantity, e.Remaining))
		case market.OrderCancelled:
			lines = append(lines, fmt.Sprintf("cancelled %s %d: %s", e.OrderID, e.Quantity, e.Reason))
		case market.OrderRejected:
			lines = append(lines, fmt.Sprintf("rejected %s: %s", e.OrderID, strings.Join(e.Reasons, "; ")))
		default:
			lines = append(lines, p.EventType())
		}
	}
	return strings.Join(lines, "\n")
}

func TestTheBookDecides(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		given []string
		when  string
		then  string
	}{
		"a limit order that matches nothing is queued": {
			when: "a ann BUY 10 @ 150.00", then: "queued a 10 @ 150",
		},
		"better price first, then first come first served, at the resting price": {
			given: []string{"a ann SELL 10 @ 151", "b bob SELL 10 @ 150", "c cid SELL 10 @ 150.00"},
			when:  "x eve BUY 25 @ 152",
			then: "AAPL-1 maker b with x 10 @ 150\nAAPL-1 taker x with b 10 @ 150\n" +
				"AAPL-2 maker c with x 10 @ 150\nAAPL-2 taker x with c 10 @ 150\n" +
				"AAPL-3 maker a with x 5 @ 151\nAAPL-3 taker x with a 5 @ 151\n" +
				"filled b 10 avg 150\nfilled c 10 avg 150\nfilled x 25 avg 150.2",
		},
		"the rest of a limit order joins the book": {
			given: []string{"a ann SELL 10 @ 150"},
			when:  "x eve BUY 30 @ 150",
			then:  "AAPL-1 maker a with x 10 @ 150\nAAPL-1 taker x with a 10 @ 150\nfilled a 10 avg 150\npartial x 10 avg 150, 20 rests",
		},
		"the rest of a market order is dropped": {
			given: []string{"a ann BUY 10 @ 150"},
			when:  "x eve SELL 30",
			then:  "AAPL-1 maker a with x 10 @ 150\nAAPL-1 taker x with a 10 @ 150\nfilled a 10 avg 150\npartial x 10 avg 150, 20 dropped",
		},
		"a market order without liquidity is rejected": {
			given: []string{"a ann BUY 10 @ 150"}, when: "x eve BUY 10", then: "rejected x: no liquidity for a market order",
		},
		"an immediate-or-cancel stops at its limit and drops the rest": {
			given: []string{"a ann SELL 10 @ 150", "b ann SELL 10 @ 151"},
			when:  "x eve BUY 20 ! 150",
			then:  "AAPL-1 maker a with x 10 @ 150\nAAPL-1 taker x with a 10 @ 150\nfilled a 10 avg 150\npartial x 10 avg 150, 10 dropped",
		},
		"an immediate-or-cancel that can take nothing is cancelled": {
			given: []string{"a ann SELL 10 @ 151"}, when: "x eve BUY 20 ! 150", then: "cancelled x 20: immediate-or-cancel: nothing to take",
		},
		"a maker's average price counts what it traded as taker": {
			given: []string{"a ann SELL 10 @ 149", "m bob BUY 30 @ 150"},
			when:  "x eve SELL 20 @ 150",
			then:  "AAPL-2 maker m with x 20 @ 150\nAAPL-2 taker x with m 20 @ 150\nfilled m 30 avg 149.66666667\nfilled x 20 avg 150",
		},
		"an order never trades with its own trader's; the newest is cancelled": {
			given: []string{"a ann SELL 10 @ 150"}, when: "x ann BUY 10 @ 150", then: "cancelled x 10: self-trade prevention",
		},
		"what stood ahead of one's own order trades first": {
			given: []string{"a bob SELL 10 @ 150", "b ann SELL 10 @ 150", "c bob SELL 10 @ 150"},
			when:  "x ann BUY 30 @ 150",
			then: "AAPL-1 maker a with x 10 @ 150\nAAPL-1 taker x with a 10 @ 150\nfilled a 10 avg 150\n" +
				"partial x 10 avg 150, 20 dropped\ncancelled x 20: self-trade prevention",
		},
		"an order that is full before it meets its own trader is just filled": {
			given: []string{"a bob SELL 10 @ 150", "b ann SELL 10 @ 150"},
			when:  "x ann BUY 10 @ 150",
			then:  "AAPL-1 maker a with x 10 @ 150\nAAPL-1 taker x with a 10 @ 150\nfilled a 10 avg 150\nfilled x 10 avg 150",
		},
		"orders without a trader trade with each other": {
			given: []string{"a - SELL 10 @ 150"},
			when:  "x - BUY 10 @ 150",
			then:  "AAPL-1 maker a with x 10 @ 150\nAAPL-1 taker x with a 10 @ 150\nfilled a 10 avg 150\nfilled x 10 avg 150",
		},
		"a reduce keeps time priority": {
			given: []string{"a ann SELL 10 @ 150", "b bob SELL 10 @ 150", "a ann reduce 4"},
			when:  "x eve BUY 8 @ 150",
			then: "AAPL-1 maker a with x 6 @ 150\nAAPL-1 taker x with a 6 @ 150\nAAPL-2 maker b with x 2 @ 150\n" +
				"AAPL-2 taker x with b 2 @ 150\nfilled a 6 avg 150\nfilled x 8 avg 150",
		},
		"a reduce says what is left": {
			given: []string{"a ann SELL 10 @ 150"}, when: "a ann reduce 4", then: "reduced a by 4 to 6",
		},
		"a reduce of all that is open, or more, cancels": {
			given: []string{"a ann SELL 10 @ 150", "x eve BUY 4 @ 150"}, when: "a ann reduce 9", then: "cancelled a 6: reduced to nothing",
		},
		"a reduce of exactly what is open cancels": {
			given: []string{"a ann SELL 10 @ 150"}, when: "a ann reduce 10", then: "cancelled a 10: reduced to nothing",
		},
		"a cancel takes what is open": {
			given: []string{"a ann SELL 10 @ 150", "x eve BUY 4 @ 150"}, when: "a ann cancel", then: "cancelled a 6: requested",
		},
		"cancelling an unknown order is refused": {when: "a ann cancel", then: `rejected a: order "a" is unknown`},
		"cancelling a gone order is refused": {
			given: []string{"a ann SELL 10 @ 150", "x eve BUY 10 @ 150"}, when: "a ann cancel",
			then: `rejected a: order "a" is no longer in the book`,
		},
		"reducing another trader's order is refused": {
			given: []string{"a ann SELL 10 @ 150"}, when: "a bob reduce 1", then: `rejected a: order "a" belongs to another trader`,
		},
		"cancelling a trader's order without a trader is refused": {
			given: []string{"a ann SELL 10 @ 150"}, when: "a - cancel", then: `rejected a: order "a" belongs to another trader`,
		},
		"an order id is taken while it rests": {
			given: []string{"a ann SELL 10 @ 150"}, when: "a bob BUY 1 @ 1", then: `rejected a: order "a" was submitted before`,
		},
		"an order id stays taken when it never rested": {
			given: []string{"a ann SELL 10 @ 150", "x eve BUY 1", "y eve BUY 1 ! 1"}, when: "x eve BUY 1",
			then: `rejected x: order "x" was submitted before`,
		},
		"the id of a cancelled newcomer stays taken": {
			given: []string{"y eve BUY 1 ! 1"}, when: "y eve BUY 1 @ 1", then: `rejected y: order "y" was submitted before`,
		},
		"the id of a rejected order is free": {
			given: []string{"x eve BUY 1"}, when: "x eve BUY 1 @ 1", then: "queued x 1 @ 1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b market.Book
			play(&b, c.given...)
			if got := tell(b.Decide(order(c.when))); got != c.then {
				t.Errorf("got\n%s\nwant\n%s", got, c.then)
			}
		})
	}
}

func TestWhatValidationShouldHaveStoppedIsRefused(t *testing.T) {
	t.Parallel()
	var b market.Book
	play(&b, "a ann SELL 10 @ 150")
	for _, line := range []string{"x eve BUY 0", "x eve BUY -1 @ 150", "a ann reduce 0", "a ann reduce -5"} {
		if got := tell(b.Decide(order(line))); !strings.HasPrefix(got, "rejected") {
			t.Errorf("%s: got %s", line, got)
		}
	}
	if got := tell(b.Decide(market.OrderValidated{OrderID: "x", Quantity: 1})); got != `rejected x: action "" is unknown` {
		t.Errorf("got %s", got)
	}
}

func TestAMarketOrderIgnoresItsPrice(t *testing.T) {
	t.Parallel()
	var b market.Book
	play(&b, "a ann SELL 10 @ 150")
	o := order("x eve BUY 20")
	o.Price = dec("1")
	got := b.Decide(o)
	if p, ok := got[len(got)-1].(market.OrderPartialFill); !ok || p.Filled != 10 || !p.Price.IsZero() {
		t.Errorf("got %s", tell(got))
	}
}

func TestLevelsAddUpBestFirst(t *testing.T) {
	t.Parallel()
	var b market.Book
	play(&b, "a ann BUY 10 @ 149.5", "b bob BUY 5 @ 149.50", "c cid BUY 7 @ 150", "d cid BUY 1 @ 148", "d cid cancel")
	var got []string
	for l := range b.Levels(market.Buy) {
		got = append(got, fmt.Sprintf("%s %d %d", l.Price, l.Quantity, l.Orders))
	}
	if want := []string{"150 7 1", "149.5 15 2"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for l := range b.Levels(market.Sell) {
		t.Errorf("level %v on the empty side", l)
	}
}

func TestTheLargestDecisionStaysBelowMaxEvents(t *testing.T) {
	t.Parallel()
	var b market.Book
	for i := range market.MaxQuantity {
		b.Queued(market.OrderQueued{OrderID: fmt.Sprint(i), Side: market.Sell, Price: dec("1"), Quantity: 1})
	}
	b.Queued(market.OrderQueued{OrderID: "own", TraderID: "ann", Side: market.Sell, Price: dec("1"), Quantity: 1})
	if n := len(b.Decide(order("x ann BUY 10000"))); n > market.MaxEvents {
		t.Errorf("%d events, at most %d are promised", n, market.MaxEvents)
	}
}

func TestPayloadsSurviveJSONWithPricesAsStrings(t *testing.T) {
	t.Parallel()
	var b market.Book
	play(&b, "a ann SELL 10 @ 150.10")
	for _, p := range b.Decide(order("x eve BUY 30 @ 150.1000")) {
		data, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		back := reflect.New(reflect.TypeOf(p))
		if err := json.Unmarshal(data, back.Interface()); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(back.Interface())
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%s came back as %s (%v)", data, again, err)
		}
		if strings.Contains(string(data), "150") && !strings.Contains(string(data), `"150.1"`) {
			t.Errorf("no decimal string in %s", data)
		}
	}
}

func TestZeroPayloadsKnowTheirType(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]market.Payload{
		"ORDER_SUBMITTED": market.OrderSubmitted{}, "ORDER_VALIDATED": market.OrderValidated{}, "ORDER_REJECTED": market.OrderRejected{},
		"TRADE_EXECUTED": market.TradeExecuted{}, "ORDER_FILLED": market.OrderFilled{}, "ORDER_PARTIAL_FILL": market.OrderPartialFill{},
		"ORDER_QUEUED": market.OrderQueued{}, "ORDER_REDUCED": market.OrderReduced{}, "ORDER_CANCELLED": market.OrderCancelled{},
		"SETTLEMENT_COMPLETE": market.SettlementComplete{}, "SETTLEMENT_FAILED": market.SettlementFailed{}, "RISK_ALERT": market.RiskAlert{},
	} {
		if p.EventType() != want {
			t.Errorf("%T is %q, want %q", p, p.EventType(), want)
		}
	}
}
