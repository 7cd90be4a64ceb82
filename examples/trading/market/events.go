package market

import "github.com/shopspring/decimal"

// Payload is what decisions return: an event's content, a plain struct that knows its event type.
type Payload interface{ EventType() string }

// TradeExecuted is one side of a match. Every match has two with the same trade id: the maker's first, then the taker's.
type TradeExecuted struct {
	TradeID        string          `json:"trade_id"` // the symbol and the number of the match in its book
	OrderID        string          `json:"order_id"`
	CounterOrderID string          `json:"counter_order_id"`
	TraderID       string          `json:"trader_id,omitempty"`
	Symbol         string          `json:"symbol"`
	Side           Side            `json:"side"`
	Maker          bool            `json:"maker"` // this side rested in the book
	Price          decimal.Decimal `json:"price"` // the resting order's
	Quantity       int64           `json:"quantity"`
	Day            string          `json:"day,omitempty"`
}

// EventType implements the framework's payload.
func (TradeExecuted) EventType() string { return "TRADE_EXECUTED" }

// OrderFilled says that an order, taker or maker, has traded its last open share.
type OrderFilled struct {
	OrderID      string          `json:"order_id"`
	TraderID     string          `json:"trader_id,omitempty"`
	Symbol       string          `json:"symbol"`
	Side         Side            `json:"side"`
	Quantity     int64           `json:"quantity"`      // all it traded, in all matches
	Value        decimal.Decimal `json:"value"`         // price × quantity over all matches, exact
	AveragePrice decimal.Decimal `json:"average_price"` // Value / Quantity, rounded to PricePlaces
}

// EventType implements the framework's payload.
func (OrderFilled) EventType() string { return "ORDER_FILLED" }

// OrderPartialFill says what became of an incoming order that traded some of its shares but not all. A maker that is hit in part has
// its TradeExecuted only.
type OrderPartialFill struct {
	OrderID      string          `json:"order_id"`
	TraderID     string          `json:"trader_id,omitempty"`
	Symbol       string          `json:"symbol"`
	Side         Side            `json:"side"`
	OrderType    OrderType       `json:"order_type"`
	Price        decimal.Decimal `json:"price,omitzero"` // the order's limit
	Filled       int64           `json:"filled"`
	Value        decimal.Decimal `json:"value"`
	AveragePrice decimal.Decimal `json:"average_price"`
	Remaining    int64           `json:"remaining"` // shares that did not trade
	Rests        bool            `json:"rests"`     // true: the remaining joined the book at Price; false: they were dropped
}

// EventType implements the framework's payload.
func (OrderPartialFill) EventType() string { return "ORDER_PARTIAL_FILL" }

// OrderQueued says that a limit order matched nothing and joined the book behind its price level.
type OrderQueued struct {
	OrderID  string          `json:"order_id"`
	TraderID string          `json:"trader_id,omitempty"`
	Symbol   string          `json:"symbol"`
	Side     Side            `json:"side"`
	Price    decimal.Decimal `json:"price"`
	Quantity int64           `json:"quantity"`
}

// EventType implements the framework's payload.
func (OrderQueued) EventType() string { return "ORDER_QUEUED" }

// OrderReduced says that a resting order was made smaller. It keeps its place in the queue.
type OrderReduced struct {
	OrderID   string          `json:"order_id"`
	TraderID  string          `json:"trader_id,omitempty"`
	Symbol    string          `json:"symbol"`
	Side      Side            `json:"side"`
	Price     decimal.Decimal `json:"price"`
	Quantity  int64           `json:"quantity"`  // shares taken away
	Remaining int64           `json:"remaining"` // shares still open, at least one
}

// EventType implements the framework's payload.
func (OrderReduced) EventType() string { return "ORDER_REDUCED" }

// OrderCancelled says that an order's open shares are gone without a trade: a resting order left the book, or an incoming one was
// stopped before it could join.
type OrderCancelled struct {
	OrderID  string `json:"order_id"`
	TraderID string `json:"trader_id,omitempty"`
	Symbol   string `json:"symbol"`
	Side     Side   `json:"side"`
	Quantity int64  `json:"quantity"` // the shares that were open
	Reason   string `json:"reason"`   // one of the Cancelled… constants
}

// EventType implements the framework's payload.
func (OrderCancelled) EventType() string { return "ORDER_CANCELLED" }

// Why an order was cancelled.
const (
	CancelledOnRequest = "requested"
	CancelledByReduce  = "reduced to nothing"
	CancelledSelfTrade = "self-trade prevention"
	CancelledUnmatched = "immediate-or-cancel: nothing to take"
)
