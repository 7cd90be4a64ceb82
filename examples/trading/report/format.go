package report

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/shopspring/decimal"
)

// maxText is how much of a text from outside is shown.
const maxText = 200

// price writes a price with at least two decimal places, and all it has.
func price(p decimal.Decimal) string {
	if p.Equal(p.Truncate(2)) {
		return p.StringFixed(2)
	}
	return p.String()
}

// grouped writes a number with a comma between the thousands.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// plain shortens a text from outside, and quotes it when it contains what a terminal would not print.
func plain(text string) string {
	if runes := []rune(text); len(runes) > maxText {
		text = string(runes[:maxText]) + "…"
	}
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}

// who names an order and, when it has one, its trader.
func who(order, trader string) string {
	if trader == "" {
		return plain(order)
	}
	return plain(order) + " of " + plain(trader)
}

// onLines lists the first lines of a few.
func onLines(lines []int) string {
	if len(lines) == 0 {
		return ""
	}
	var list []string
	for _, n := range lines[:min(len(lines), Listed)] {
		list = append(list, strconv.Itoa(n))
	}
	if more := len(lines) - Listed; more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	return " (lines " + strings.Join(list, ", ") + ")"
}
