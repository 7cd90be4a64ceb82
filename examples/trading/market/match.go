package market

import (
	"fmt"
	"strconv"

	"github.com/shopspring/decimal"
)

// MaxEvents is the most events one decision of a Book returns: two sides and a fill for each of MaxQuantity one-share makers, and what
// became of the taker. A store must take as many in one commit.
const MaxEvents = 3*MaxQuantity + 2

// Decide returns what an order does to the book, as events; it changes nothing. It never returns none. The events are to be folded
// into the book before the next decision.
//
// A new order trades by price-time priority: best price first, at one price the oldest first, always at the resting order's price. The
// events come in this order:
//
//   - TradeExecuted twice per match, maker then taker;
//   - OrderFilled for every maker that has nothing left;
//   - for the taker OrderFilled, or OrderPartialFill (the rest of a limit order joins the book, of others it is dropped), or, when it
//     matched nothing, OrderQueued (limit), OrderRejected (market: no liquidity) or OrderCancelled (immediate-or-cancel).
//
// Self-trade prevention is cancel-newest: where the next order in line belongs to the same trader, matching stops and the incoming
// order's open shares are cancelled with OrderCancelled, after its OrderPartialFill if it traded before. The resting order stays.
// Orders without a trader are exempt. An order id that the book has accepted before is refused.
//
// Reduce and Cancel name an order that rests in the book and belongs to the same trader, or are refused.
func (b *Book) Decide(o OrderValidated) []Payload {
	if o.Action != Cancel && o.Quantity < MinQuantity {
		return []Payload{reject(o, fmt.Sprintf("quantity %d is not positive", o.Quantity))} // Validate lets none through
	}
	switch o.Action {
	case New:
		return b.match(o)
	case Reduce:
		return b.reduce(o)
	case Cancel:
		return b.cancel(o)
	default:
		return []Payload{reject(o, fmt.Sprintf("action %q is unknown", o.Action))}
	}
}

func (b *Book) match(o OrderValidated) []Payload {
	if _, ok := b.taken[o.OrderID]; ok {
		return []Payload{reject(o, fmt.Sprintf("order %q was submitted before", o.OrderID))}
	}
	if o.OrderType == Market {
		o.Price = decimal.Decimal{} // whatever it says, it is no limit
	}
	m := matching{order: o, open: o.Quantity, number: b.matches}
	m.sweep(b.ladder(o.Side.Opposite()))
	return append(append(m.trades, m.fills...), m.outcome()...)
}

// matching is one incoming order on its way through the other side of the book.
type matching struct {
	order   OrderValidated
	open    int64           // shares still to trade
	value   decimal.Decimal // of the shares traded
	number  int64           // of the latest match
	selfHit bool            // the next in line is the trader's own
	trades  []Payload
	fills   []Payload
}

// sweep matches until nothing is left on either side, the price is too bad or the trader would meet itself.
func (m *matching) sweep(makers *ladder) {
	for v := range makers.fromBest() {
		if m.order.OrderType != Market && makers.better(m.order.Price, v.price) {
			return // the limit is better for the taker than this level gives
		}
		for maker := range v.queue() {
			if m.open == 0 {
				return
			}
			if maker.trader != "" && maker.trader == m.order.TraderID {
				m.selfHit = true
				return
			}
			m.trade(maker)
		}
	}
}

func (m *matching) trade(maker *resting) {
	quantity := min(m.open, maker.open)
	m.number++
	m.open -= quantity
	m.value = m.value.Add(valueOf(maker.price, quantity))

	o := m.order
	side := TradeExecuted{
		TradeID: o.Symbol + "-" + strconv.FormatInt(m.number, 10), OrderID: maker.id, CounterOrderID: o.OrderID, TraderID: maker.trader,
		Symbol: o.Symbol, Side: maker.side, Maker: true, Price: maker.price, Quantity: quantity, Day: o.Day,
	}
	m.trades = append(m.trades, side)
	side.OrderID, side.CounterOrderID, side.TraderID, side.Side, side.Maker = o.OrderID, maker.id, o.TraderID, o.Side, false
	m.trades = append(m.trades, side)

	if quantity == maker.open {
		filled := maker.filled + quantity
		value := maker.value.Add(valueOf(maker.price, quantity))
		m.fills = append(m.fills, OrderFilled{
			OrderID: maker.id, TraderID: maker.trader, Symbol: o.Symbol, Side: maker.side,
			Quantity: filled, Value: value, AveragePrice: average(value, filled),
		})
	}
}

// outcome says what became of the taker.
func (m *matching) outcome() []Payload {
	o, filled := m.order, m.order.Quantity-m.open
	cancelled := OrderCancelled{
		OrderID: o.OrderID, TraderID: o.TraderID, Symbol: o.Symbol, Side: o.Side, Quantity: m.open, Reason: CancelledSelfTrade,
	}
	switch {
	case m.open == 0:
		return []Payload{OrderFilled{
			OrderID: o.OrderID, TraderID: o.TraderID, Symbol: o.Symbol, Side: o.Side,
			Quantity: filled, Value: m.value, AveragePrice: average(m.value, filled),
		}}
	case filled > 0:
		partial := OrderPartialFill{
			OrderID: o.OrderID, TraderID: o.TraderID, Symbol: o.Symbol, Side: o.Side, OrderType: o.OrderType, Price: o.Price,
			Filled: filled, Value: m.value, AveragePrice: average(m.value, filled),
			Remaining: m.open, Rests: o.OrderType == Limit && !m.selfHit,
		}
		if m.selfHit {
			return []Payload{partial, cancelled}
		}
		return []Payload{partial}
	case m.selfHit:
		return []Payload{cancelled}
	case o.OrderType == Limit:
		return []Payload{OrderQueued{
			OrderID: o.OrderID, TraderID: o.TraderID, Symbol: o.Symbol, Side: o.Side, Price: o.Price, Quantity: m.open,
		}}
	case o.OrderType == IOC:
		cancelled.Reason = CancelledUnmatched
		return []Payload{cancelled}
	default:
		return []Payload{reject(o, "no liquidity for a market order")}
	}
}
