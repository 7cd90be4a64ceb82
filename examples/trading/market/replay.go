package market

import (
	"fmt"

	"github.com/shopspring/decimal"
)

// MessageType is the kind of a message in LOBSTER's format (lobsterdata.com, "output structure").
type MessageType int

// The message types.
const (
	NewLimit        MessageType = iota + 1 // a limit order joins the book
	PartialCancel                          // shares are taken from a resting order
	Delete                                 // a resting order leaves
	ExecuteVisible                         // a resting order trades
	ExecuteHidden                          // an order that the book does not show trades
	CrossTrade                             // an auction
	TradingHalt                            // or its end
	lastMessageType = TradingHalt
)

// Valid says whether the format knows the type.
func (t MessageType) Valid() bool { return t >= NewLimit && t <= lastMessageType }

// Message is one event at the exchange, as a LOBSTER file tells it.
type Message struct {
	Line    int // in its file, from 1
	Type    MessageType
	OrderID string // the resting order's
	Side    Side   // the resting order's
	Size    int64
	Price   decimal.Decimal
}

// Replay turns messages of an exchange into orders that should lead our book through the same states. The messages name resting
// orders; some of those are older than the file and stand in the opening book, where only the sum of a level is known. Each level of it
// is therefore one anonymous order, ahead of all that come later, and stands in for every older order at its price.
type Replay struct {
	symbol  string
	seen    map[string]struct{} // ids submitted by the messages
	opening map[levelKey]string // order ids of the opening levels
}

type levelKey struct {
	side  Side
	price string
}

// NewReplay starts the replay of one symbol's messages.
func NewReplay(symbol string) *Replay {
	return &Replay{symbol: symbol, seen: map[string]struct{}{}, opening: map[levelKey]string{}}
}

// Opening returns the order that stands for one level of the opening book. All levels come before the first message.
func (r *Replay) Opening(side Side, price decimal.Decimal, size int64) OrderSubmitted {
	name := "opening-ask-" + price.String()
	if side == Buy {
		name = "opening-bid-" + price.String()
	}
	r.opening[levelKey{side, price.String()}] = name
	return r.order(OrderSubmitted{OrderID: name, Side: side, OrderType: Limit, Quantity: size, Price: price, Action: New})
}

// Order returns the order that a message means, or false for what does not touch the visible book: hidden executions, crosses, halts.
//
// A new order is a limit order, a partial cancel a reduction, a delete a cancellation. An execution becomes an immediate-or-cancel
// order of the opposite side at that price and size, which expects to meet the named order. What names an order from before the file
// acts on the opening level at its side and price: there a delete, too, is a reduction by its size. Without such a level the name
// stands as it is, and the book will not know it.
func (r *Replay) Order(m Message) (OrderSubmitted, bool) {
	o := OrderSubmitted{OrderID: m.OrderID, Side: m.Side, Quantity: m.Size, Price: m.Price}
	switch m.Type {
	case NewLimit:
		r.seen[m.OrderID] = struct{}{}
		o.Action, o.OrderType = New, Limit
	case PartialCancel:
		o.Action, o.OrderID = Reduce, r.target(m)
	case Delete:
		o.Action, o.OrderID = Cancel, r.target(m)
		if o.OrderID != m.OrderID {
			o.Action = Reduce
		}
	case ExecuteVisible:
		o.Action, o.OrderType, o.Side = New, IOC, m.Side.Opposite()
		o.OrderID, o.Expects = fmt.Sprintf("execution-%d", m.Line), r.target(m)
	default:
		return OrderSubmitted{}, false
	}
	return r.order(o), true
}

func (r *Replay) order(o OrderSubmitted) OrderSubmitted {
	o.Symbol, o.Anonymous = r.symbol, true
	return o
}

// target is the order of ours that the message means.
func (r *Replay) target(m Message) string {
	if _, ok := r.seen[m.OrderID]; !ok {
		if name, ok := r.opening[levelKey{m.Side, m.Price.String()}]; ok {
			return name
		}
	}
	return m.OrderID
}
