package market_test

import (
	"reflect"
	"testing"

	"github.com/necrostack/necrostack/examples/trading/market"
)

func TestMessagesBecomeOrders(t *testing.T) {
	t.Parallel()
	r := market.NewReplay("AAPL")
	opening := r.Opening(market.Sell, dec("10.50"), 300)
	if want := (market.OrderSubmitted{
		OrderID: "opening-ask-10.5", Anonymous: true, Symbol: "AAPL", Side: market.Sell, OrderType: market.Limit, Quantity: 300,
		Price: dec("10.50"), Action: market.New,
	}); !reflect.DeepEqual(opening, want) {
		t.Errorf("got %+v, want %+v", opening, want)
	}
	type msg = market.Message
	for _, c := range []struct {
		about string
		in    msg
		want  string // action, order id, side, type, expects; "" for none
	}{
		{"a new order", msg{1, market.NewLimit, "7", market.Buy, 5, dec("10")}, "new 7 BUY LIMIT "},
		{"a partial cancel of it", msg{2, market.PartialCancel, "7", market.Buy, 2, dec("10")}, "reduce 7 BUY  "},
		{"an execution of it", msg{3, market.ExecuteVisible, "7", market.Buy, 1, dec("10")}, "new execution-3 SELL IOC 7"},
		{"its deletion", msg{4, market.Delete, "7", market.Buy, 2, dec("10")}, "cancel 7 BUY  "},
		{"a partial cancel of an older order", msg{5, market.PartialCancel, "3", market.Sell, 2, dec("10.5")}, "reduce opening-ask-10.5 SELL  "},
		{"a deletion of an older order", msg{6, market.Delete, "4", market.Sell, 2, dec("10.5")}, "reduce opening-ask-10.5 SELL  "},
		{"an execution of an older order", msg{7, market.ExecuteVisible, "5", market.Sell, 2, dec("10.5")}, "new execution-7 BUY IOC opening-ask-10.5"},
		{"an older order of the other side", msg{8, market.Delete, "6", market.Buy, 2, dec("10.5")}, "cancel 6 BUY  "},
		{"an older order without a level", msg{9, market.ExecuteVisible, "8", market.Buy, 2, dec("9")}, "new execution-9 SELL IOC 8"},
		{"a hidden execution", msg{10, market.ExecuteHidden, "0", market.Buy, 2, dec("10")}, ""},
		{"a cross", msg{11, market.CrossTrade, "0", market.Buy, 2, dec("10")}, ""},
		{"a halt", msg{12, market.TradingHalt, "0", market.Buy, 0, dec("-1")}, ""},
	} {
		o, ok := r.Order(c.in)
		got := ""
		if ok {
			got = string(o.Action) + " " + o.OrderID + " " + string(o.Side) + " " + string(o.OrderType) + " " + o.Expects
			if reasons := market.Validate(o); len(reasons) > 0 {
				t.Errorf("%s: %q", c.about, reasons)
			}
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.about, got, c.want)
		}
	}
}

func TestOnlyAnExactExecutionIsMatched(t *testing.T) {
	t.Parallel()
	traded := func(order, with string, q int64) market.TradeExecuted {
		return market.TradeExecuted{OrderID: order, CounterOrderID: with, Quantity: q}
	}
	var x market.Executions
	x.Submitted(market.OrderSubmitted{OrderID: "plain", Quantity: 5})
	for _, id := range []string{"exact", "twice", "short", "other", "mixed", "none"} {
		x.Submitted(market.OrderSubmitted{OrderID: id, Quantity: 5, Expects: "r"})
	}
	for _, e := range []market.TradeExecuted{
		traded("exact", "r", 5), traded("twice", "r", 2), traded("twice", "r", 3), traded("short", "r", 4), traded("other", "s", 5),
		traded("mixed", "s", 2), traded("mixed", "r", 3), traded("plain", "r", 5),
		{OrderID: "none", CounterOrderID: "r", Quantity: 5, Maker: true},
	} {
		x.Traded(e)
	}
	if got, want := x.Unmatched(), []string{"short", "other", "mixed", "none"}; x.Matched() != 2 || !reflect.DeepEqual(got, want) {
		t.Errorf("%d matched, unmatched %q, want 2 and %q", x.Matched(), got, want)
	}
}
