package report

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/necrostack/necrostack/examples/trading/market"
)

const (
	shownLevels = 10 // of a side of a book
	barWidth    = 30 // cells of the largest level
)

// Text writes a run for people: the books drawn, the latest trades, rejections, alerts and parked events, what of the input was
// refused, and the totals. Ids and reasons come from outside; what a terminal would obey in them is quoted.
func Text(w io.Writer, s Summary) error {
	var p page
	p.books(s.Books)
	section(&p, "Trades", s.Counts.Trades, s.Trades, func(t market.TradeExecuted) string {
		return fmt.Sprintf("%-10s %-4s %6s @ %-10s %s with %s", t.TradeID, t.Side, grouped(t.Quantity), price(t.Price),
			who(t.OrderID, t.TraderID), plain(t.CounterOrderID))
	})
	section(&p, "Rejections", s.Counts.Rejected, s.Rejections, func(r market.OrderRejected) string {
		return fmt.Sprintf("%s: %s", who(r.OrderID, r.TraderID), plain(strings.Join(r.Reasons, "; ")))
	})
	section(&p, "Risk alerts", s.Counts.Alerts, s.Alerts, func(a market.RiskAlert) string {
		return fmt.Sprintf("%s: %s %s is over %s with trade %s",
			plain(a.TraderID), strings.TrimSpace(a.Symbol+" "+string(a.Kind)), a.Value, a.Limit, a.TradeID)
	})
	section(&p, "Parked", s.Counts.Parked, s.Parked, func(k Parked) string {
		return fmt.Sprintf("%s %s %s: %s", plain(k.Organ), plain(k.Event), plain(k.Subject), plain(k.Reason))
	})
	refused := s.Refused[max(0, len(s.Refused)-Listed):]
	section(&p, "Refused input", int64(len(s.Refused)), refused, plain)
	p.totals(s)
	return p.flush(w)
}

// Totals writes only the counters, the executions of a replay and the speed.
func Totals(w io.Writer, s Summary) error {
	var p page
	p.totals(s)
	return p.flush(w)
}

// page collects text, so that there is one write that can fail.
type page struct{ bytes.Buffer }

func (p *page) line(format string, args ...any) {
	fmt.Fprintln(&p.Buffer, strings.TrimRight(fmt.Sprintf(format, args...), " "))
}

func (p *page) flush(w io.Writer) error {
	if _, err := w.Write(p.Bytes()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// section lists the latest of something under a title, or nothing when there is none.
func section[T any](p *page, title string, total int64, items []T, tell func(T) string) {
	if len(items) == 0 {
		return
	}
	p.line("%s", title)
	if earlier := total - int64(len(items)); earlier > 0 {
		p.line("  … %s earlier", grouped(earlier))
	}
	for _, item := range items {
		p.line("  %s", tell(item))
	}
	p.line("")
}

// books draws the books in the order of market.Symbols.
func (p *page) books(books map[string]Book) {
	for _, symbol := range slices.SortedFunc(maps.Keys(books), bySymbol) {
		p.book(symbol, books[symbol])
	}
}

func bySymbol(a, b string) int {
	if d := slices.Index(market.Symbols(), a) - slices.Index(market.Symbols(), b); d != 0 {
		return d
	}
	return strings.Compare(a, b)
}

// book draws one book as it stands on a trader's screen: asks above bids, the best next to each other.
func (p *page) book(symbol string, b Book) {
	title := plain(symbol)
	switch {
	case len(b.Bids)+len(b.Asks) == 0:
		title += "  nothing rests"
	case len(b.Bids) > 0 && len(b.Asks) > 0:
		title += "  spread " + price(b.Asks[0].Price.Sub(b.Bids[0].Price))
	}
	p.line("%s", title)
	asks, bids := b.Asks[:min(len(b.Asks), shownLevels)], b.Bids[:min(len(b.Bids), shownLevels)]
	var largest int64
	for _, l := range slices.Concat(asks, bids) {
		largest = max(largest, l.Quantity)
	}
	p.hidden("ask", b.Asks)
	for _, l := range slices.Backward(asks) {
		p.level("ask", l, largest)
	}
	for _, l := range bids {
		p.level("bid", l, largest)
	}
	p.hidden("bid", b.Bids)
	p.line("")
}

func (p *page) level(side string, l market.Level, largest int64) {
	cells := max(1, int(l.Quantity*barWidth/largest))
	p.line("  %s %12s %9s  %s", side, price(l.Price), grouped(l.Quantity), strings.Repeat("█", cells))
}

// hidden says what lies beyond the levels that are shown.
func (p *page) hidden(side string, levels []market.Level) {
	if len(levels) <= shownLevels {
		return
	}
	var shares int64
	for _, l := range levels[shownLevels:] {
		shares += l.Quantity
	}
	p.line("  %s … %s shares on %s more levels", side, grouped(shares), grouped(int64(len(levels)-shownLevels)))
}

func (p *page) totals(s Summary) {
	p.line("Totals")
	c := s.Counts
	for _, row := range [][]total{
		{{"processed", c.Processed}, {"emitted", c.Emitted}, {"parked", c.Parked}},
		{{"validated", c.Validated}, {"rejected", c.Rejected}, {"cancelled", c.Cancelled}},
		{{"queued", c.Queued}, {"partial", c.Partial}, {"filled", c.Filled}},
		{{"trades", c.Trades}, {"settlements", c.Settlements}, {"alerts", c.Alerts}},
	} {
		for _, t := range row {
			fmt.Fprintf(&p.Buffer, "  %-11s %10s", t.name, grouped(t.count))
		}
		p.line("")
	}
	if x := s.Executions; x != nil {
		p.line("  executions: %s matched, %s unmatched%s", grouped(int64(x.Matched)), grouped(int64(x.Unmatched)), onLines(x.Lines))
	}
	if s.Elapsed > 0 && s.Added > 0 {
		p.line("  %s events/s", grouped(int64(float64(s.Added)/s.Elapsed.Seconds())))
	}
}

// total is a counter with its name.
type total struct {
	name  string
	count int64
}
