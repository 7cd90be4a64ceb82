package input

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/necrostack/necrostack/examples/trading/market"
)

// required and optional are the names that a CSV header and a JSON element may use.
var (
	required = [...]string{"trader_id", "symbol", "side", "order_type", "quantity", "price"}
	optional = [...]string{"order_id", "action"}
)

func isField(name string) bool {
	return slices.Contains(required[:], name) || slices.Contains(optional[:], name)
}

// order makes an order of the fields of a row, or says everything that is wrong with them. Side, type and action are understood in
// upper and lower case; what they are not is left for market.Validate to name, as is everything that is missing. A new order without
// an id gets the given one.
func order(fields map[string]string, line int, id string) (Numbered, error) {
	var faults []string
	field := func(name string) string {
		text := strings.TrimSpace(fields[name])
		if err := textFault(text); err != nil {
			faults = append(faults, name+" "+err.Error())
		}
		return text
	}
	o := market.OrderSubmitted{
		OrderID:   field("order_id"),
		TraderID:  field("trader_id"),
		Symbol:    field("symbol"),
		Side:      oneOf(field("side"), market.Buy, market.Sell),
		OrderType: oneOf(field("order_type"), market.Limit, market.Market, market.IOC),
		Action:    oneOf(field("action"), market.New, market.Reduce, market.Cancel),
	}
	if o.Action == "" {
		o.Action = market.New
	}
	unnamed := o.OrderID == "" && o.Action == market.New
	if unnamed {
		o.OrderID = id
	}
	var err error
	if o.Quantity, err = number(field("quantity"), market.ParseWhole); err != nil {
		faults = append(faults, "quantity "+err.Error())
	}
	if o.Price, err = number(field("price"), market.ParseNumber); err != nil {
		faults = append(faults, "price "+err.Error())
	}
	if len(faults) > 0 {
		return Numbered{}, errors.New(strings.Join(faults, "; "))
	}
	return Numbered{Line: line, Unnamed: unnamed, Order: o}, nil
}

// oneOf returns the known word that text is, whatever its case, or the text as it stands.
func oneOf[W ~string](text string, known ...W) W {
	for _, w := range known {
		if strings.EqualFold(text, string(w)) {
			return w
		}
	}
	return W(text)
}

// number reads a number; none is zero.
func number[N int64 | decimal.Decimal](text string, parse func(string) (N, error)) (N, error) {
	var none N
	if text == "" {
		return none, nil
	}
	n, err := parse(text)
	if err != nil {
		return none, fmt.Errorf("%q %w", text, err)
	}
	return n, nil
}
