package market_test

import (
	"fmt"
	"slices"

	"github.com/shopspring/decimal"

	"github.com/necrostack/necrostack/examples/trading/market"
)

// naive is the model: a list of orders in the order of arrival, searched from end to end for every match.
type naive struct {
	orders []market.OrderValidated // resting; Quantity is what is open
	taken  map[string]bool
}

// best returns the index of the order that a taker meets first, or -1.
func (n *naive) best(taker market.OrderValidated) int {
	found := -1
	for i, o := range n.orders {
		if o.Side == taker.Side || (taker.OrderType != market.Market && worse(taker.Side, o.Price, taker.Price)) {
			continue
		}
		if found < 0 || worse(taker.Side, n.orders[found].Price, o.Price) {
			found = i
		}
	}
	return found
}

// worse says whether price p is worse than q for who trades on a side.
func worse(side market.Side, p, q decimal.Decimal) bool {
	if side == market.Buy {
		return p.GreaterThan(q)
	}
	return p.LessThan(q)
}

// submit returns "taker maker quantity price" for every match, and how the order ended.
func (n *naive) submit(o market.OrderValidated) (matches []string, end string) {
	if o.Action != market.New {
		return nil, n.amend(o)
	}
	if n.taken[o.OrderID] {
		return nil, "ORDER_REJECTED"
	}
	wanted, end := o.Quantity, ""
	for o.Quantity > 0 && end == "" {
		i := n.best(o)
		if i < 0 {
			break
		}
		m := &n.orders[i]
		if m.TraderID != "" && m.TraderID == o.TraderID {
			end = "ORDER_CANCELLED"
			break
		}
		q := min(o.Quantity, m.Quantity)
		matches = append(matches, fmt.Sprintf("%s %s %d %s", o.OrderID, m.OrderID, q, m.Price))
		o.Quantity -= q
		if m.Quantity -= q; m.Quantity == 0 {
			n.orders = slices.Delete(n.orders, i, i+1)
		}
	}
	switch {
	case end != "":
	case o.Quantity == 0:
		end = "ORDER_FILLED"
	case o.Quantity < wanted:
		end = "ORDER_PARTIAL_FILL"
	default:
		end = map[market.OrderType]string{
			market.Limit: "ORDER_QUEUED", market.Market: "ORDER_REJECTED", market.IOC: "ORDER_CANCELLED",
		}[o.OrderType]
	}
	n.taken[o.OrderID] = n.taken[o.OrderID] || end != "ORDER_REJECTED"
	if o.OrderType == market.Limit && (end == "ORDER_QUEUED" || end == "ORDER_PARTIAL_FILL") {
		n.orders = append(n.orders, o)
	}
	return matches, end
}

func (n *naive) amend(o market.OrderValidated) string {
	i := slices.IndexFunc(n.orders, func(r market.OrderValidated) bool { return r.OrderID == o.OrderID })
	switch {
	case i < 0 || n.orders[i].TraderID != o.TraderID:
		return "ORDER_REJECTED"
	case o.Action == market.Reduce && o.Quantity < n.orders[i].Quantity:
		n.orders[i].Quantity -= o.Quantity
		return "ORDER_REDUCED"
	}
	n.orders = slices.Delete(n.orders, i, i+1)
	return "ORDER_CANCELLED"
}
