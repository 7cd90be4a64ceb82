package market_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/necrostack/necrostack/examples/trading/market"
)

func TestSettlementFailsForBlockedTradersOnly(t *testing.T) {
	t.Parallel()
	list := market.Block("mallory", "")
	for trader, want := range map[string]string{"ann": "SETTLEMENT_COMPLETE", "mallory": "SETTLEMENT_FAILED", "": "SETTLEMENT_COMPLETE"} {
		got := list.Settle(market.TradeExecuted{TradeID: "AAPL-1", TraderID: trader, Price: dec("1.5"), Quantity: 3})
		if got.EventType() != want {
			t.Errorf("trader %q: got %+v, want %s", trader, got, want)
		}
		if done, ok := got.(market.SettlementComplete); ok && !done.Value.Equal(dec("4.5")) {
			t.Errorf("value %s, want 4.5", done.Value)
		}
	}
	var nobody market.Blocklist
	if nobody.Blocks("ann") {
		t.Error("the zero list blocks somebody")
	}
}

// settle reads "BUY 10 AAPL @ 5 on 2026-01-02".
func settle(n int, line string) market.SettlementComplete {
	e := market.SettlementComplete{TradeID: fmt.Sprint("T", n), TraderID: "ann"}
	var price string
	_, _ = fmt.Sscanf(line, "%s %d %s @ %s on %s", &e.Side, &e.Quantity, &e.Symbol, &price, &e.Day)
	e.Price = dec(price)
	return e
}

func TestAlertsComeOncePerCrossing(t *testing.T) {
	t.Parallel()
	limits := market.Limits{PositionValue: dec("1000"), DailyVolume: 100}
	for name, c := range map[string]struct {
		limits market.Limits
		trades []string
		want   []string
	}{
		"at the limit is not over it":             {limits, []string{"BUY 10 AAPL @ 100 on -"}, nil},
		"over it is":                              {limits, []string{"BUY 10 AAPL @ 100.01 on -"}, []string{"T0 POSITION_VALUE AAPL 1000.1"}},
		"short counts as long":                    {limits, []string{"SELL 11 AAPL @ 100 on -"}, []string{"T0 POSITION_VALUE AAPL 1100"}},
		"not again while above":                   {limits, []string{"BUY 11 AAPL @ 100 on -", "BUY 1 AAPL @ 100 on -"}, []string{"T0 POSITION_VALUE AAPL 1100"}},
		"the last price values the whole holding": {limits, []string{"BUY 9 AAPL @ 100 on -", "BUY 1 AAPL @ 200 on -"}, []string{"T1 POSITION_VALUE AAPL 2000"}},
		"positions are per symbol":                {limits, []string{"BUY 9 AAPL @ 100 on -", "BUY 9 MSFT @ 100 on -"}, nil},
		"again after coming back": {
			limits,
			[]string{"BUY 11 AAPL @ 100 on -", "SELL 5 AAPL @ 100 on -", "BUY 6 AAPL @ 100 on -"},
			[]string{"T0 POSITION_VALUE AAPL 1100", "T2 POSITION_VALUE AAPL 1200"},
		},
		"volume adds up both sides of all symbols": {
			limits,
			[]string{"BUY 60 AAPL @ 1 on -", "SELL 40 MSFT @ 1 on -", "BUY 1 AAPL @ 1 on -", "BUY 1 AAPL @ 1 on -"},
			[]string{"T2 DAILY_VOLUME  101"},
		},
		"volume starts anew with the day": {
			limits,
			[]string{"BUY 101 AAPL @ 1 on d1", "BUY 100 AAPL @ 1 on d2", "SELL 1 AAPL @ 1 on d2"},
			[]string{"T0 DAILY_VOLUME  101", "T2 DAILY_VOLUME  101"},
		},
		"both at once": {
			limits, []string{"BUY 101 AAPL @ 100 on -"}, []string{"T0 POSITION_VALUE AAPL 10100", "T0 DAILY_VOLUME  101"},
		},
		"no limits, no alerts": {market.Limits{}, []string{"BUY 10000 AAPL @ 100000 on -"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var x market.Exposure
			var got []string
			for n, line := range c.trades {
				e := settle(n, line)
				for _, p := range x.Assess(e, c.limits) {
					a, ok := p.(market.RiskAlert)
					if !ok {
						t.Fatalf("%T among the alerts", p)
					}
					got = append(got, fmt.Sprintf("%s %s %s %s", a.TradeID, a.Kind, a.Symbol, a.Value))
				}
				x.Settled(e)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestAnonymousTradesPutNobodyAtRisk(t *testing.T) {
	t.Parallel()
	var x market.Exposure
	e := settle(0, "BUY 10000 AAPL @ 1000 on -")
	e.TraderID = ""
	if got := x.Assess(e, market.DefaultLimits()); len(got) > 0 {
		t.Errorf("got %+v", got)
	}
}
