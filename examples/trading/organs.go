package main

import (
	"context"
	"fmt"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/trading/market"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// intake is the stream of submitted orders. Their ids are not to be trusted with a stream's name.
const intake eventstore.Stream = "intake-orders"

// inOrder gives every organ one lane, so that a run can be repeated event by event: traders trade in
// several symbols, and which of their trades crosses a limit depends on the order between symbols.
var inOrder = spine.Policy{Partitions: 1}

// validator judges every submitted order.
var validator = organs.Reactor{
	Name:   "validator",
	Policy: inOrder,
	On: organs.Reactions{
		organs.React(func(_ context.Context, o market.OrderSubmitted) (organs.Events, error) {
			return organs.Events{market.Check(o)}, nil
		}),
	},
}

// engine matches orders: one book a symbol, one stream a book.
var engine = organs.Aggregate[market.Book]{
	Category: "book",
	Policy:   inOrder,
	Evolve: organs.Evolve[market.Book]{
		organs.On((*market.Book).Queued),
		organs.On((*market.Book).PartiallyFilled),
		organs.On((*market.Book).Traded),
		organs.On((*market.Book).Reduced),
		organs.On((*market.Book).Cancelled),
	},
	Decide: organs.Decide[market.Book]{
		organs.When(
			func(o market.OrderValidated) string { return o.Symbol },
			func(b market.Book, o market.OrderValidated) (organs.Events, error) {
				return events(b.Decide(o)...), nil
			}),
	},
}

// settlement settles each side of a trade for itself. What cannot be settled is recorded and set aside, for
// somebody to see to it; no other trade waits for that.
func settlement(blocked market.Blocklist) organs.Reactor {
	return organs.Reactor{
		Name:   "settlement",
		Policy: inOrder,
		Key:    eventstore.ByPayload(eventstore.From(func(t market.TradeExecuted) string { return t.TradeID + " " + t.OrderID })),
		On: organs.Reactions{
			organs.React(func(_ context.Context, t market.TradeExecuted) (organs.Events, error) {
				outcome := blocked.Settle(t)
				out := organs.Events{eventstore.In(eventstore.StreamOf("settlement", t.TradeID), outcome)}
				if failed, ok := outcome.(market.SettlementFailed); ok {
					return out, spine.Park(fmt.Errorf("settle %s for %s: %s", t.TradeID, t.TraderID, failed.Reason))
				}
				return out, nil
			}),
		},
	}
}

// risk watches what each trader has at stake. Trades without a trader put nobody at risk.
func risk(limits market.Limits) organs.Aggregate[market.Exposure] {
	return organs.Aggregate[market.Exposure]{
		Category: "risk",
		Policy:   inOrder,
		Evolve:   organs.Evolve[market.Exposure]{organs.On((*market.Exposure).Changed)},
		Decide: organs.Decide[market.Exposure]{
			organs.When(
				func(s market.SettlementComplete) string { return s.TraderID },
				func(x market.Exposure, s market.SettlementComplete) (organs.Events, error) {
					return append(organs.Events{market.ExposureChanged(s)}, events(x.Assess(s, limits)...)...), nil
				}),
		},
	}
}

// audit keeps a trail of every outcome, in a stream of its own.
var audit = organs.Reactor{
	Name:   "audit",
	Policy: inOrder,
	On: organs.Reactions{
		trail(func(e market.OrderRejected) market.AuditRecorded { return line(e, e.Symbol, e.OrderID, e.TraderID) }),
		trail(func(e market.OrderQueued) market.AuditRecorded { return line(e, e.Symbol, e.OrderID, e.TraderID) }),
		trail(func(e market.OrderFilled) market.AuditRecorded { return line(e, e.Symbol, e.OrderID, e.TraderID) }),
		trail(func(e market.OrderPartialFill) market.AuditRecorded { return line(e, e.Symbol, e.OrderID, e.TraderID) }),
		trail(func(e market.OrderReduced) market.AuditRecorded { return line(e, e.Symbol, e.OrderID, e.TraderID) }),
		trail(func(e market.OrderCancelled) market.AuditRecorded { return line(e, e.Symbol, e.OrderID, e.TraderID) }),
		trail(func(e market.SettlementComplete) market.AuditRecorded {
			return line(e, e.Symbol, e.TradeID, e.TraderID)
		}),
		trail(func(e market.SettlementFailed) market.AuditRecorded { return line(e, e.Symbol, e.TradeID, e.TraderID) }),
		trail(func(e market.RiskAlert) market.AuditRecorded { return line(e, e.Symbol, string(e.Kind), e.TraderID) }),
	},
}

// trail reacts to an event with a line of the audit trail.
func trail[E eventstore.Payload](record func(e E) market.AuditRecorded) organs.Reaction {
	return organs.React(func(_ context.Context, e E) (organs.Events, error) {
		return organs.Events{eventstore.In("audit-trail", record(e))}, nil
	})
}

func line(e eventstore.Payload, symbol, subject, trader string) market.AuditRecorded {
	return market.AuditRecorded{Event: e.EventType(), Symbol: symbol, Subject: subject, Trader: trader}
}

func events(payloads ...market.Payload) organs.Events {
	out := make(organs.Events, len(payloads))
	for i, p := range payloads {
		out[i] = p
	}
	return out
}
