package input

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/necrostack/necrostack/examples/trading/market"
)

// LOBSTER writes prices in units of 1/10,000, and fills levels that the book does not have with this price, negative for bids.
const (
	lobsterPlaces = 4
	noSuchLevel   = 9_999_999_999
)

// Lobster reads the messages of one symbol in LOBSTER's format (time, type, order id, size, price, direction; no header) and turns
// them into orders as market.Replay says. Opening, when it is not nil, is an order book file of the same format (ask price, ask size,
// bid price, bid size, repeated); its first row is the opening book, whose levels come before all messages, with line 0. Messages that
// touch no visible order give none. A book that cannot be understood, or whose levels are out of order, refuses the input.
func Lobster(messages, opening io.Reader, symbol string) ([]Numbered, []Fault, error) {
	return bounds{MaxBytes, MaxRows}.lobster(messages, opening, symbol)
}

func (b bounds) lobster(messages, opening io.Reader, symbol string) ([]Numbered, []Fault, error) {
	replay := market.NewReplay(symbol)
	var orders []Numbered
	if opening != nil {
		levels, err := b.openingBook(opening)
		if err != nil {
			return nil, nil, fmt.Errorf("opening book: %w", err)
		}
		for _, l := range levels {
			orders = append(orders, Numbered{Unnamed: true, Order: replay.Opening(l.side, l.price, l.size)})
		}
	}
	data, err := b.content(messages)
	if err != nil {
		return nil, nil, fmt.Errorf("messages: %w", err)
	}
	var faults []Fault
	rows := 0
	for line, text := range lines(data) {
		if rows++; rows > b.rows {
			return nil, nil, b.tooMany()
		}
		m, err := message(text)
		if err != nil {
			faults = append(faults, Fault{Line: line, Reason: err.Error()})
			continue
		}
		m.Line = line
		if o, ok := replay.Order(m); ok {
			orders = append(orders, Numbered{Line: line, Unnamed: o.Expects != "", Order: o})
		}
	}
	return orders, faults, nil
}

// message reads one row of a message file and says everything that is wrong with it.
func message(text string) (market.Message, error) {
	var m market.Message
	if err := rowFault(text); err != nil {
		return m, fmt.Errorf("the row %w", err)
	}
	f := strings.Split(text, ",")
	if len(f) != 6 {
		return m, fmt.Errorf("%d fields where a message has 6", len(f))
	}
	p := integers{}
	if whole, nanos, _ := strings.Cut(f[0], "."); !digits(whole, 5) || nanos != "" && !digits(nanos, 12) {
		p.faults = append(p.faults, fmt.Sprintf("time %q is not seconds after midnight", f[0]))
	}
	m.Type = market.MessageType(p.read("type", f[1], 1, 7))
	if m.OrderID = f[2]; !digits(f[2], 20) {
		p.faults = append(p.faults, fmt.Sprintf("order id %q is not a number", f[2]))
	}
	// What touches no visible order carries sizes and prices of 0 and -1.
	least := int64(1)
	if m.Type > market.ExecuteVisible {
		least = -1
	}
	m.Size = p.read("size", f[3], least, noSuchLevel)
	m.Price = decimal.New(p.read("price", f[4], least, noSuchLevel), -lobsterPlaces)
	switch f[5] {
	case "1":
		m.Side = market.Buy
	case "-1":
		m.Side = market.Sell
	default:
		p.faults = append(p.faults, fmt.Sprintf("direction %q is not 1 or -1", f[5]))
	}
	return m, p.err()
}

// bookLevel is a level of the opening book.
type bookLevel struct {
	side  market.Side
	price decimal.Decimal
	size  int64
}

// openingBook reads the first row of an order book file; asks and bids come best first.
func (b bounds) openingBook(r io.Reader) ([]bookLevel, error) {
	data, err := b.content(r)
	if err != nil {
		return nil, err
	}
	var f []string
	for line, text := range lines(data) {
		if err := rowFault(text); err != nil {
			return nil, fmt.Errorf("line %d %w", line, err)
		}
		f = strings.Split(text, ",")
		break
	}
	if len(f)%4 != 0 {
		return nil, fmt.Errorf("%d fields, not four a level", len(f))
	}
	var levels []bookLevel
	var p integers
	first, last := map[market.Side]int64{}, map[market.Side]int64{}
	for i := 0; i < len(f); i += 2 {
		side := []market.Side{market.Sell, market.Buy}[i/2%2]
		price, size := p.read("price", f[i], -noSuchLevel, noSuchLevel), p.read("size", f[i+1], 0, noSuchLevel)
		if size == 0 {
			continue // also how a book with fewer levels is filled up
		}
		before, ok := last[side]
		if price <= 0 || ok && (price == before || (side == market.Sell) != (price > before)) {
			p.faults = append(p.faults, fmt.Sprintf("%s level %d at price %d is out of order", side, i/4+1, price))
		}
		if last[side] = price; !ok {
			first[side] = price
		}
		levels = append(levels, bookLevel{side, decimal.New(price, -lobsterPlaces), size})
	}
	if bid, ask := first[market.Buy], first[market.Sell]; bid > 0 && ask > 0 && bid >= ask {
		p.faults = append(p.faults, "the best bid is not below the best ask")
	}
	return levels, p.err()
}

// integers reads numbers and collects what is wrong with them.
type integers struct{ faults []string }

func (p *integers) read(name, text string, least, most int64) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		p.faults = append(p.faults, fmt.Sprintf("%s %q is not a whole number", name, text))
		return 0
	}
	if n < least || n > most {
		p.faults = append(p.faults, fmt.Sprintf("%s %d is not within %d…%d", name, n, least, most))
	}
	return n
}

func (p *integers) err() error {
	if len(p.faults) == 0 {
		return nil
	}
	return errors.New(strings.Join(p.faults, "; "))
}

// digits says whether text is a number of at most that many decimal digits.
func digits(text string, most int) bool {
	return text != "" && len(text) <= most && strings.Trim(text, "0123456789") == ""
}
