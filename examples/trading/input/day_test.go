package input_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/necrostack/necrostack/examples/trading/input"
	"github.com/necrostack/necrostack/examples/trading/market"
)

// run plays orders through validation, books, settlement and risk, and counts what comes out.
func run(orders []market.OrderSubmitted) (counts, reasons map[string]int) {
	counts, reasons = map[string]int{}, map[string]int{}
	books, traders := map[string]*market.Book{}, map[string]*market.Exposure{}
	blocked := market.Block(input.BlockedTraders()...)
	note := func(p market.Payload) {
		counts[p.EventType()]++
		switch e := p.(type) {
		case market.OrderRejected:
			reasons[e.Reasons[0]]++
		case market.OrderCancelled:
			reasons[e.Reason]++
		case market.RiskAlert:
			reasons[string(e.Kind)]++
		}
	}
	for _, o := range orders {
		checked := market.Check(o)
		note(checked)
		v, ok := checked.(market.OrderValidated)
		if !ok {
			continue
		}
		if books[o.Symbol] == nil {
			books[o.Symbol] = &market.Book{}
		}
		for _, e := range books[o.Symbol].Decide(v) {
			books[o.Symbol].Apply(e)
			note(e)
			trade, ok := e.(market.TradeExecuted)
			if !ok {
				continue
			}
			settled := blocked.Settle(trade)
			note(settled)
			if s, ok := settled.(market.SettlementComplete); ok {
				if traders[s.TraderID] == nil {
					traders[s.TraderID] = &market.Exposure{}
				}
				for _, alert := range traders[s.TraderID].Assess(s, market.DefaultLimits()) {
					note(alert)
				}
				traders[s.TraderID].Settled(s)
			}
		}
	}
	return counts, reasons
}

func TestTheDayShowsEveryOutcome(t *testing.T) {
	t.Parallel()
	counts, reasons := run(input.Day())
	for _, p := range []market.Payload{
		market.OrderValidated{},
		market.OrderRejected{},
		market.TradeExecuted{},
		market.OrderFilled{},
		market.OrderPartialFill{},
		market.OrderQueued{},
		market.OrderReduced{},
		market.OrderCancelled{},
		market.SettlementComplete{},
		market.SettlementFailed{},
		market.RiskAlert{},
	} {
		if counts[p.EventType()] == 0 {
			t.Errorf("no %s", p.EventType())
		}
	}
	for _, reason := range []string{
		market.CancelledOnRequest, market.CancelledSelfTrade, market.CancelledUnmatched, string(market.PositionValue),
		string(market.DailyVolume), "no liquidity for a market order", `order "a99" is unknown`, `order "a2" is no longer in the book`,
		`order "a1" belongs to another trader`, `order "a8" was submitted before`,
	} {
		if reasons[reason] == 0 {
			t.Errorf("nothing happens for the reason %q; there are %v", reason, reasons)
		}
	}
}

func TestStressIsTheSameForTheSameSeed(t *testing.T) {
	t.Parallel()
	long, short, other := input.Stress(2_000, 7), input.Stress(500, 7), input.Stress(500, 8)
	if !reflect.DeepEqual(long[:500], short) {
		t.Error("a longer run does not begin with the shorter one")
	}
	if reflect.DeepEqual(short, other) {
		t.Error("another seed makes the same orders")
	}
	if input.Stress(0, 1) == nil || len(input.Stress(-1, 1)) != 0 {
		t.Error("no orders are an empty slice")
	}
}

func TestStressKeepsAllPathsBusy(t *testing.T) {
	t.Parallel()
	counts, _ := run(input.Stress(20_000, 1))
	for _, p := range []market.Payload{
		market.OrderRejected{},
		market.TradeExecuted{},
		market.OrderFilled{},
		market.OrderPartialFill{},
		market.OrderQueued{},
		market.OrderReduced{},
		market.OrderCancelled{},
		market.SettlementComplete{},
		market.RiskAlert{},
	} {
		if counts[p.EventType()] == 0 {
			t.Errorf("no %s among %v", p.EventType(), counts)
		}
	}
	symbols := map[string]bool{}
	for _, o := range input.Stress(1_000, 1) {
		symbols[o.Symbol] = true
	}
	for _, s := range market.Symbols() {
		if !symbols[s] {
			t.Errorf("no order in %s", s)
		}
	}
	if slices.ContainsFunc(input.Stress(1_000, 1), func(o market.OrderSubmitted) bool { return o.OrderID == "" }) {
		t.Error("an order has no id")
	}
}
