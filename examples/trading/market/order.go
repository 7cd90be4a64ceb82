package market

import "github.com/shopspring/decimal"

// Side says whether an order buys or sells.
type Side string

// The sides an order can have.
const (
	Buy  Side = "BUY"
	Sell Side = "SELL"
)

// Opposite returns the side that trades with s.
func (s Side) Opposite() Side {
	if s == Buy {
		return Sell
	}
	return Buy
}

// OrderType says what an order does with the part that finds no counterparty.
type OrderType string

// The order types.
const (
	// Limit trades at its price or better; the rest joins the book.
	Limit OrderType = "LIMIT"
	// Market trades at any price; the rest is dropped.
	Market OrderType = "MARKET"
	// IOC (immediate-or-cancel) trades at its price or better; the rest is dropped.
	IOC OrderType = "IOC"
)

// Action says what an order asks for.
type Action string

// The actions. Reduce and Cancel name a resting order by its order id.
const (
	New    Action = "new"
	Reduce Action = "reduce"
	Cancel Action = "cancel"
)

// OrderSubmitted is an order as it came in, unchecked.
type OrderSubmitted struct {
	OrderID   string `json:"order_id"`
	TraderID  string `json:"trader_id,omitempty"`
	Anonymous bool   `json:"anonymous,omitempty"` // from a feed that names no traders
	Symbol    string `json:"symbol"`
	Side      Side   `json:"side,omitempty"`
	Action    Action `json:"action"`

	OrderType OrderType       `json:"order_type,omitempty"`
	Quantity  int64           `json:"quantity,omitempty"` // shares; for Reduce the shares to take away
	Price     decimal.Decimal `json:"price,omitzero"`     // the limit of Limit and IOC; Market ignores it

	// Expects is the resting order that a replayed execution filled on the exchange. It is compared with, never obeyed.
	Expects string `json:"expects_order_id,omitempty"`
	// Day is the trading day as 2006-01-02. It belongs to the data, so that a replay never depends on the clock. Empty is a day of its own.
	Day string `json:"day,omitempty"`
}

// EventType implements the framework's payload.
func (OrderSubmitted) EventType() string { return "ORDER_SUBMITTED" }

// OrderValidated is an order in which Validate found no fault. Whether the book takes it is decided by Book.Decide.
type OrderValidated OrderSubmitted

// EventType implements the framework's payload.
func (OrderValidated) EventType() string { return "ORDER_VALIDATED" }

// OrderRejected is an order that was refused, by validation or by the book. It changes nothing: the order id may be used again.
type OrderRejected struct {
	OrderID  string   `json:"order_id"`
	TraderID string   `json:"trader_id,omitempty"`
	Symbol   string   `json:"symbol"`
	Action   Action   `json:"action"`
	Reasons  []string `json:"reasons"` // all of them, at least one
}

// EventType implements the framework's payload.
func (OrderRejected) EventType() string { return "ORDER_REJECTED" }

// Check validates an order: OrderValidated, or OrderRejected with every reason.
func Check(o OrderSubmitted) Payload {
	if reasons := Validate(o); len(reasons) > 0 {
		return reject(OrderValidated(o), reasons...)
	}
	return OrderValidated(o)
}

func reject(o OrderValidated, reasons ...string) OrderRejected {
	return OrderRejected{OrderID: o.OrderID, TraderID: o.TraderID, Symbol: o.Symbol, Action: o.Action, Reasons: reasons}
}
