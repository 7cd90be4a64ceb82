package input

import (
	"fmt"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/google/uuid"

	"github.com/necrostack/necrostack/examples/trading/market"
)

// namespace of the ids of orders.
var namespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/necrostack/necrostack/examples/trading"))

// maxLabel leaves room for a place in an order's id.
const maxLabel = market.MaxIDBytes / 2

// Sign gives the orders of an input what tells them from those of others: their IDs, and names for orders without one.
//
// An ID is the same whenever a file of the same name is read again, and belongs to what the row says. So a row that has
// only moved keeps its ID, one that was changed gets another, and of rows that say the same each has its own. An order
// that is called after its place is called "orders.csv:line-7" now, wherever the file names it: two files may both have
// a line 7.
func Sign(file string, orders []Numbered) {
	file = filepath.Base(file)
	unnamed, same := map[string]bool{}, map[uuid.UUID]int{}
	for i := range orders {
		if orders[i].Unnamed {
			unnamed[orders[i].Order.OrderID] = true
		}
	}
	label := labelOf(file)
	for i := range orders {
		n := &orders[i]
		n.ID = uuid.NewSHA1(namespace, fmt.Appendf(nil, "%q %s", file, says(*n)))
		if same[n.ID]++; same[n.ID] > 1 {
			n.ID = uuid.NewSHA1(n.ID, fmt.Append(nil, same[n.ID]))
		}
		for _, id := range []*string{&n.Order.OrderID, &n.Order.Expects} {
			if unnamed[*id] {
				*id = label + ":" + *id
			}
		}
	}
}

// says is all that a row says.
func says(n Numbered) string {
	o := n.Order
	if n.Unnamed {
		o.OrderID = "" // that is where it stands
	}
	return fmt.Sprintf("%q %q %t %q %q %q %q %d %q %q %q",
		o.OrderID, o.TraderID, o.Anonymous, o.Symbol, o.Side, o.Action, o.OrderType, o.Quantity, o.Price, o.Expects, o.Day)
}

// labelOf is a file's name as a part of ids, or what stands for one that does not fit into ids.
func labelOf(file string) string {
	if len(file) > maxLabel || strings.ContainsFunc(file, func(r rune) bool { return r == unicode.ReplacementChar || r == ' ' || !unicode.IsGraphic(r) }) {
		return uuid.NewSHA1(namespace, []byte(file)).String()[:8]
	}
	return file
}
