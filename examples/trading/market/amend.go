package market

import "fmt"

// cancel takes a resting order out of the book.
func (b *Book) cancel(o OrderValidated) []Payload {
	r, refusal := b.owned(o)
	if r == nil {
		return []Payload{refusal}
	}
	return []Payload{r.cancelled(o.Symbol, CancelledOnRequest)}
}

// reduce makes a resting order smaller. Taking all that is open, or more because some of it traded meanwhile, cancels it: who reduces
// wants less in the market, so refusing would leave them with more than they asked for.
func (b *Book) reduce(o OrderValidated) []Payload {
	r, refusal := b.owned(o)
	switch {
	case r == nil:
		return []Payload{refusal}
	case o.Quantity >= r.open:
		return []Payload{r.cancelled(o.Symbol, CancelledByReduce)}
	}
	return []Payload{OrderReduced{
		OrderID: r.id, TraderID: r.trader, Symbol: o.Symbol, Side: r.side, Price: r.price,
		Quantity: o.Quantity, Remaining: r.open - o.Quantity,
	}}
}

// owned finds the resting order that o names, or says why o may not touch it.
func (b *Book) owned(o OrderValidated) (*resting, OrderRejected) {
	r, known := b.resting[o.OrderID], false
	if r == nil {
		_, known = b.taken[o.OrderID]
	}
	switch {
	case known:
		return nil, reject(o, fmt.Sprintf("order %q is no longer in the book", o.OrderID))
	case r == nil:
		return nil, reject(o, fmt.Sprintf("order %q is unknown", o.OrderID))
	case r.trader != o.TraderID:
		return nil, reject(o, fmt.Sprintf("order %q belongs to another trader", o.OrderID))
	}
	return r, OrderRejected{}
}

func (r *resting) cancelled(symbol, reason string) OrderCancelled {
	return OrderCancelled{OrderID: r.id, TraderID: r.trader, Symbol: symbol, Side: r.side, Quantity: r.open, Reason: reason}
}
