package market

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// What Validate accepts.
const (
	MinQuantity = 1
	MaxQuantity = 10_000 // shares an order, and a reduction
	MaxIDBytes  = 64     // an order's or a trader's id
)

// Symbols lists the symbols that are traded, in the order reports show them. The caller owns the slice.
func Symbols() []string {
	return []string{"AAPL", "GOOGL", "MSFT", "AMZN", "TSLA", "NVDA", "META"}
}

// Validate returns every reason to refuse an order, in a fixed order; none means that the order is sound. What only the book can
// know (is the order id taken, is there anything to cancel) is not asked here. Reduce and Cancel need no side, type and price, but
// what they give must be known.
func Validate(o OrderSubmitted) []string {
	var reasons []string
	add := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }

	if fault := idFault(o.OrderID); fault != "" {
		add("order_id %s", fault)
	}
	switch fault := idFault(o.TraderID); {
	case o.Anonymous && o.TraderID != "":
		add("anonymous order names trader %q", o.TraderID)
	case !o.Anonymous && fault != "":
		add("trader_id %s", fault)
	}
	if !slices.Contains(Symbols(), o.Symbol) {
		add("symbol %q is not one of %s", o.Symbol, strings.Join(Symbols(), " "))
	}
	if !slices.Contains([]Action{New, Reduce, Cancel}, o.Action) {
		add("action %q is not one of new reduce cancel", o.Action)
	}
	amends := o.Action == Reduce || o.Action == Cancel
	if o.Side != Buy && o.Side != Sell && (!amends || o.Side != "") {
		add("side %q is not one of BUY SELL", o.Side)
	}
	if !slices.Contains([]OrderType{Limit, Market, IOC}, o.OrderType) && (!amends || o.OrderType != "") {
		add("order_type %q is not one of LIMIT MARKET IOC", o.OrderType)
	}
	if o.Action != Cancel && (o.Quantity < MinQuantity || o.Quantity > MaxQuantity) {
		add("quantity %d is not within %d…%d", o.Quantity, MinQuantity, MaxQuantity)
	}
	if !amends && (o.OrderType == Limit || o.OrderType == IOC) {
		if fault := priceFault(o); fault != "" {
			add("price %s", fault)
		}
	}
	if _, err := time.Parse(time.DateOnly, o.Day); o.Day != "" && err != nil {
		add("day %q is not a date like 2006-01-02", o.Day)
	}
	return reasons
}

// idFault says what is wrong with an id. Ids end up in stream names, keys and terminals.
func idFault(id string) string {
	switch {
	case id == "":
		return "is missing"
	case len(id) > MaxIDBytes:
		return fmt.Sprintf("is longer than %d bytes", MaxIDBytes)
	case !utf8.ValidString(id):
		return "is not valid UTF-8"
	case strings.ContainsFunc(id, func(r rune) bool { return !unicode.IsGraphic(r) }):
		return fmt.Sprintf("%q contains unprintable characters", id)
	case strings.TrimSpace(id) != id:
		return fmt.Sprintf("%q begins or ends with a space", id)
	}
	return ""
}

// priceFault says what is wrong with a limit price.
func priceFault(o OrderSubmitted) string {
	if err := sane(o.Price); err != nil {
		return err.Error()
	}
	if !o.Price.IsPositive() || o.Price.GreaterThan(maxPrice()) {
		return fmt.Sprintf("%s is not above 0 and at most %s", o.Price, maxPrice())
	}
	return ""
}
