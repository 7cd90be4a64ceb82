package market

import (
	"iter"
	"slices"
	"sort"

	"github.com/shopspring/decimal"
)

// ladder holds the price levels of one side in a sorted slice, the best last. A level is found by binary search; adding or removing one
// moves only the pointers of better levels, and in a market most of what happens happens near the best. No level is ever empty.
type ladder struct {
	side   Side // set by the first order
	levels []*level
}

// level holds the orders of one price, first come first served.
type level struct {
	price       decimal.Decimal
	quantity    int64 // the sum of the open shares
	orders      int
	first, last *resting
}

// resting is an order in the book. Its level links it to its neighbours, so that it leaves from the middle at once.
type resting struct {
	id, trader string
	side       Side
	price      decimal.Decimal
	open       int64           // shares still to trade
	filled     int64           // shares traded, as taker before it came to rest included
	value      decimal.Decimal // what those were worth

	level      *level
	prev, next *resting
}

// better says whether price p trades before q on this side.
func (l *ladder) better(p, q decimal.Decimal) bool {
	if l.side == Buy {
		return p.GreaterThan(q)
	}
	return p.LessThan(q)
}

// find returns where the level of a price is, or where it would go.
func (l *ladder) find(price decimal.Decimal) (at int, ok bool) {
	at = sort.Search(len(l.levels), func(i int) bool { return !l.better(price, l.levels[i].price) })
	return at, at < len(l.levels) && l.levels[at].price.Equal(price)
}

// push puts an order behind all others of its price.
func (l *ladder) push(o *resting) {
	l.side = o.side
	at, ok := l.find(o.price)
	if !ok {
		l.levels = slices.Insert(l.levels, at, &level{price: o.price})
	}
	v := l.levels[at]
	v.quantity += o.open
	v.orders++
	o.level, o.prev = v, v.last
	if v.last == nil {
		v.first = o
	} else {
		v.last.next = o
	}
	v.last = o
}

// remove takes an order without open shares out of its level, and the level out of the ladder when it was the last.
func (l *ladder) remove(o *resting) {
	v := o.level
	v.orders--
	if o.prev == nil {
		v.first = o.next
	} else {
		o.prev.next = o.next
	}
	if o.next == nil {
		v.last = o.prev
	} else {
		o.next.prev = o.prev
	}
	if v.first == nil {
		if at, ok := l.find(v.price); ok {
			l.levels = slices.Delete(l.levels, at, at+1)
		}
	}
}

// fromBest yields the levels, best first.
func (l *ladder) fromBest() iter.Seq[*level] {
	return func(yield func(*level) bool) {
		for _, v := range slices.Backward(l.levels) {
			if !yield(v) {
				return
			}
		}
	}
}

// queue yields the orders of a level, first come first.
func (v *level) queue() iter.Seq[*resting] {
	return func(yield func(*resting) bool) {
		for o := v.first; o != nil; o = o.next {
			if !yield(o) {
				return
			}
		}
	}
}
