package input

import (
	"fmt"
	"math/rand/v2"

	"github.com/shopspring/decimal"

	"github.com/necrostack/necrostack/examples/trading/market"
)

const (
	stressTraders = 40
	stressRecent  = 256 // of the latest orders, the ones that are cancelled and reduced
	tickPlaces    = 2
)

// Stress makes n orders, the same for the same n and seed: limit orders around a price that wanders, in all symbols, with market and
// immediate-or-cancel orders, cancellations and reductions among them, and one in a hundred that is not valid. A longer run begins
// with the orders of a shorter one.
func Stress(n int, seed uint64) []market.OrderSubmitted {
	s := stress{seed: seed, random: rand.New(rand.NewPCG(seed, 0x5eed))}
	for i := range market.Symbols() {
		s.middle = append(s.middle, int64(100+50*i)*100)
	}
	orders := make([]market.OrderSubmitted, 0, max(n, 0))
	for i := range n {
		orders = append(orders, s.next(i))
	}
	return orders
}

// stress is the state of a random market.
type stress struct {
	seed   uint64
	random *rand.Rand
	middle []int64 // ticks, by symbol
	recent []market.OrderSubmitted
}

func (s *stress) next(i int) market.OrderSubmitted {
	kind := s.random.IntN(100)
	if kind < 18 && len(s.recent) > 0 {
		return s.amend(kind < 13)
	}
	symbol := s.random.IntN(len(s.middle))
	s.middle[symbol] = max(1_000, s.middle[symbol]+s.random.Int64N(5)-2)
	o := market.OrderSubmitted{
		OrderID:   fmt.Sprintf("s%d-%07d", s.seed, i+1),
		TraderID:  fmt.Sprintf("trader-%02d", s.random.IntN(stressTraders)+1),
		Symbol:    market.Symbols()[symbol],
		Side:      market.Buy,
		OrderType: market.Limit,
		Quantity:  s.random.Int64N(500) + 1,
		Action:    market.New,
		Day:       tradingDay,
	}
	away := s.random.Int64N(24) - 4 // ticks on the passive side; below zero the order crosses the middle
	if s.random.IntN(2) == 0 {
		o.Side, away = market.Sell, -away
	}
	switch {
	case kind >= 99:
		o.Quantity = 0
	case kind >= 91:
		o.OrderType = market.Market
		return o
	case kind >= 86:
		o.OrderType = market.IOC
	}
	o.Price = decimal.New(s.middle[symbol]-away, -tickPlaces)
	if o.OrderType == market.Limit {
		s.remember(o)
	}
	return o
}

// amend cancels or reduces a recent order of its own trader; it may be gone by now.
func (s *stress) amend(cancel bool) market.OrderSubmitted {
	o := s.recent[s.random.IntN(len(s.recent))]
	a := market.OrderSubmitted{OrderID: o.OrderID, TraderID: o.TraderID, Symbol: o.Symbol, Action: market.Cancel, Day: o.Day}
	if !cancel {
		a.Action, a.Quantity = market.Reduce, s.random.Int64N(100)+1
	}
	return a
}

func (s *stress) remember(o market.OrderSubmitted) {
	if len(s.recent) < stressRecent {
		s.recent = append(s.recent, o)
		return
	}
	s.recent[s.random.IntN(stressRecent)] = o
}
