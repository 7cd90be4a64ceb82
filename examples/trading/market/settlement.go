package market

import "github.com/shopspring/decimal"

// SettlementComplete says that one side of a trade was settled.
type SettlementComplete struct {
	TradeID  string          `json:"trade_id"`
	OrderID  string          `json:"order_id"`
	TraderID string          `json:"trader_id,omitempty"`
	Symbol   string          `json:"symbol"`
	Side     Side            `json:"side"`
	Price    decimal.Decimal `json:"price"`
	Quantity int64           `json:"quantity"`
	Value    decimal.Decimal `json:"value"` // Price × Quantity, exact
	Day      string          `json:"day,omitempty"`
}

// EventType implements the framework's payload.
func (SettlementComplete) EventType() string { return "SETTLEMENT_COMPLETE" }

// SettlementFailed says that one side of a trade could not be settled, and somebody has to see to it.
type SettlementFailed struct {
	TradeID  string          `json:"trade_id"`
	OrderID  string          `json:"order_id"`
	TraderID string          `json:"trader_id,omitempty"`
	Symbol   string          `json:"symbol"`
	Side     Side            `json:"side"`
	Price    decimal.Decimal `json:"price"`
	Quantity int64           `json:"quantity"`
	Day      string          `json:"day,omitempty"`
	Reason   string          `json:"reason"`
}

// EventType implements the framework's payload.
func (SettlementFailed) EventType() string { return "SETTLEMENT_FAILED" }

// Blocklist is the set of traders whose trades are not settled. The zero value blocks nobody; it is never changed after it was made.
type Blocklist struct{ traders map[string]struct{} }

// Block makes a Blocklist of trader ids.
func Block(traders ...string) Blocklist {
	l := Blocklist{traders: make(map[string]struct{}, len(traders))}
	for _, t := range traders {
		l.traders[t] = struct{}{}
	}
	return l
}

// Blocks says whether a trader is on the list. The anonymous trader never is.
func (l Blocklist) Blocks(trader string) bool {
	_, ok := l.traders[trader]
	return ok && trader != ""
}

// Settle decides about one side of a trade: SettlementComplete, or SettlementFailed for a blocked trader. The sides are settled each
// for itself against the clearing house, so a blocked trader does not hurt its counterparty.
func (l Blocklist) Settle(t TradeExecuted) Payload {
	if l.Blocks(t.TraderID) {
		return SettlementFailed{
			TradeID: t.TradeID, OrderID: t.OrderID, TraderID: t.TraderID, Symbol: t.Symbol, Side: t.Side,
			Price: t.Price, Quantity: t.Quantity, Day: t.Day, Reason: "trader is on the blocklist",
		}
	}
	return SettlementComplete{
		TradeID: t.TradeID, OrderID: t.OrderID, TraderID: t.TraderID, Symbol: t.Symbol, Side: t.Side,
		Price: t.Price, Quantity: t.Quantity, Value: valueOf(t.Price, t.Quantity), Day: t.Day,
	}
}
