package report

import (
	"slices"
	"time"

	"github.com/necrostack/necrostack/examples/trading/market"
)

// Listed is how many trades, rejections, alerts and parked events a Summary keeps, the latest ones. The Counters count them all.
const Listed = 12

// Counters count events by what they say; Trades counts matches, not their sides. Summary.Count keeps all but
// Processed, Emitted and Parked, which the log knows.
type Counters struct {
	Processed   int64 `json:"processed"` // the market's events in the log: the submitted ones and the emitted ones
	Emitted     int64 `json:"emitted"`   // events that organs put out
	Validated   int64 `json:"validated"`
	Rejected    int64 `json:"rejected"` // by validation and by the book
	Filled      int64 `json:"filled"`
	Partial     int64 `json:"partial"`
	Queued      int64 `json:"queued"`
	Cancelled   int64 `json:"cancelled"`
	Trades      int64 `json:"trades"`
	Settlements int64 `json:"settlements"` // complete ones
	Alerts      int64 `json:"alerts"`
	Parked      int64 `json:"parked"`
}

// Summary is the market as it is reported after a run, whatever run things have happened in. The zero value is a market in which
// nothing happened. It is for one goroutine at a time.
type Summary struct {
	Counts     Counters
	Books      map[string]Book // by symbol
	Executions *Executions     // of the replay that was the run's input; nil for a run that is none

	Trades     []market.TradeExecuted // the taker's side
	Rejections []market.OrderRejected
	Alerts     []market.RiskAlert
	Parked     []Parked

	Refused []string      // rows of the input, each with its line and the reason
	Added   int64         // events that the run has put into the log
	Elapsed time.Duration // the whole run; zero says nothing about speed
}

// Book is a book's levels, best price first.
type Book struct{ Bids, Asks []market.Level }

// Executions says how many executions of a replay filled exactly the order that the exchange filled.
type Executions struct {
	Matched   int `json:"matched"`
	Unmatched int `json:"unmatched"`
	// Lines of the unmatched ones in the file of messages.
	Lines []int `json:"-"`
}

// Parked is an event that was set aside.
type Parked struct {
	Organ, Event, Subject, Reason string
}

// BookOf copies the levels of a book.
func BookOf(b *market.Book) Book {
	return Book{Bids: slices.Collect(b.Levels(market.Buy)), Asks: slices.Collect(b.Levels(market.Sell))}
}

// Count counts an event, and keeps it among the latest when it is one that is listed.
func (s *Summary) Count(p market.Payload) {
	switch e := p.(type) {
	case market.OrderValidated:
		s.Counts.Validated++
	case market.OrderRejected:
		s.Counts.Rejected++
		s.Rejections = latest(s.Rejections, e)
	case market.OrderFilled:
		s.Counts.Filled++
	case market.OrderPartialFill:
		s.Counts.Partial++
	case market.OrderQueued:
		s.Counts.Queued++
	case market.OrderCancelled:
		s.Counts.Cancelled++
	case market.TradeExecuted:
		if !e.Maker {
			s.Counts.Trades++
			s.Trades = latest(s.Trades, e)
		}
	case market.SettlementComplete:
		s.Counts.Settlements++
	case market.RiskAlert:
		s.Counts.Alerts++
		s.Alerts = latest(s.Alerts, e)
	}
}

// Park counts a parked event and keeps it among the latest.
func (s *Summary) Park(p Parked) {
	s.Counts.Parked++
	s.Parked = latest(s.Parked, p)
}

// latest appends to a list and forgets its oldest once there are Listed.
func latest[T any](list []T, item T) []T {
	if len(list) == Listed {
		list = slices.Delete(list, 0, 1)
	}
	return append(list, item)
}
