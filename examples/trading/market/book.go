package market

import (
	"iter"

	"github.com/shopspring/decimal"
)

// Book is the order book of one symbol: the resting orders by price and time. The zero value is an empty book.
//
// It changes only by the events of its symbol, each folded once and in order; Decide reads it. Folding a whole stream from an empty
// Book rebuilds it. A Book is for one goroutine at a time, and a copy of the struct shares the orders of the original.
type Book struct {
	bids, asks ladder
	resting    map[string]*resting // by order id
	taken      map[string]struct{} // every order id that the book accepted, gone ones included
	matches    int64
	last       decimal.Decimal
}

// Queued puts an order that matched nothing behind its price level.
func (b *Book) Queued(e OrderQueued) {
	b.rest(&resting{id: e.OrderID, trader: e.TraderID, side: e.Side, price: e.Price, open: e.Quantity})
}

// PartiallyFilled puts the rest of a limit order behind its price level.
func (b *Book) PartiallyFilled(e OrderPartialFill) {
	if e.Rests && e.Filled > 0 {
		b.rest(&resting{
			id: e.OrderID, trader: e.TraderID, side: e.Side, price: e.Price, open: e.Remaining, filled: e.Filled, value: e.Value,
		})
	}
}

// Traded takes the shares of a match from its maker, who leaves the book with the last one. The taker is not in the book yet: what
// becomes of it is told by OrderPartialFill.
func (b *Book) Traded(e TradeExecuted) {
	if !e.Maker {
		b.take(e.OrderID)
		return
	}
	b.matches++
	b.last = e.Price
	if o := b.resting[e.OrderID]; o != nil {
		quantity := b.shrink(o, e.Quantity)
		o.filled += quantity
		o.value = o.value.Add(valueOf(e.Price, quantity))
	}
}

// Reduced makes a resting order smaller; it keeps its place.
func (b *Book) Reduced(e OrderReduced) {
	if o := b.resting[e.OrderID]; o != nil {
		b.shrink(o, e.Quantity)
	}
}

// Cancelled removes a resting order. Of an incoming one it only keeps the id, so that it is not used twice.
func (b *Book) Cancelled(e OrderCancelled) {
	b.take(e.OrderID)
	if o := b.resting[e.OrderID]; o != nil {
		b.shrink(o, o.open)
	}
}

// Apply folds any event of the symbol; those that do not change the book are ignored.
func (b *Book) Apply(p Payload) {
	switch e := p.(type) {
	case OrderQueued:
		b.Queued(e)
	case OrderPartialFill:
		b.PartiallyFilled(e)
	case TradeExecuted:
		b.Traded(e)
	case OrderReduced:
		b.Reduced(e)
	case OrderCancelled:
		b.Cancelled(e)
	}
}

// Level is what rests at one price.
type Level struct {
	Price    decimal.Decimal
	Quantity int64 // the sum of the open shares
	Orders   int
}

// Levels yields the levels of a side, best price first. The book must not change meanwhile.
func (b *Book) Levels(side Side) iter.Seq[Level] {
	return func(yield func(Level) bool) {
		for l := range b.ladder(side).fromBest() {
			if !yield(Level{Price: l.price, Quantity: l.quantity, Orders: l.orders}) {
				return
			}
		}
	}
}

// LastPrice is the price of the latest trade, or false when there was none.
func (b *Book) LastPrice() (decimal.Decimal, bool) { return b.last, b.matches > 0 }

// Matches is how many matches the book has seen, a match counting once for both its sides.
func (b *Book) Matches() int64 { return b.matches }

// Open returns the open shares of a resting order, 0 when it does not rest here.
func (b *Book) Open(orderID string) int64 {
	if o := b.resting[orderID]; o != nil {
		return o.open
	}
	return 0
}

func (b *Book) ladder(side Side) *ladder {
	if side == Buy {
		return &b.bids
	}
	return &b.asks
}

func (b *Book) rest(o *resting) {
	if b.resting[o.id] != nil || o.open <= 0 {
		return // no decision of ours says so; keep the order that is there
	}
	if b.resting == nil {
		b.resting = map[string]*resting{}
	}
	b.take(o.id)
	b.resting[o.id] = o
	b.ladder(o.side).push(o)
}

// shrink takes open shares from an order, which leaves the book with the last one, and returns how many: at most what is open, at least
// none, so that no history makes the book inconsistent.
func (b *Book) shrink(o *resting, quantity int64) int64 {
	quantity = max(0, min(quantity, o.open))
	o.open -= quantity
	o.level.quantity -= quantity
	if o.open == 0 {
		delete(b.resting, o.id)
		b.ladder(o.side).remove(o)
	}
	return quantity
}

func (b *Book) take(orderID string) {
	if b.taken == nil {
		b.taken = map[string]struct{}{}
	}
	b.taken[orderID] = struct{}{}
}
