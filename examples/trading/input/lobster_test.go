package input_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/necrostack/necrostack/examples/trading/input"
	"github.com/necrostack/necrostack/examples/trading/market"
)

func fixture(t *testing.T, name string) io.Reader {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(data)
}

func TestLobsterOrdersLeadTheBookThroughTheSameExecutions(t *testing.T) {
	t.Parallel()
	orders, faults, err := input.Lobster(fixture(t, "lobster-messages.csv"), fixture(t, "lobster-book.csv"), "AAPL")
	if err != nil || faults != nil {
		t.Fatal(faults, err)
	}
	var book market.Book
	var x market.Executions
	var rejected []string
	for _, o := range orders {
		x.Submitted(o.Order)
		v, ok := market.Check(o.Order).(market.OrderValidated)
		if !ok {
			t.Errorf("line %d: %q", o.Line, market.Validate(o.Order))
			continue
		}
		for _, e := range book.Decide(v) {
			book.Apply(e)
			switch e := e.(type) {
			case market.TradeExecuted:
				x.Traded(e)
			case market.OrderRejected:
				rejected = append(rejected, e.OrderID)
			}
		}
	}
	// Line 11 names an order that no level shows; line 16 one that the opening level is ahead of.
	if got, want := x.Unmatched(), []string{"execution-11", "execution-16"}; x.Matched() != 3 || !reflect.DeepEqual(got, want) {
		t.Errorf("%d matched, unmatched %q, want 3 and %q", x.Matched(), got, want)
	}
	if rejected != nil {
		t.Errorf("rejected %q", rejected)
	}
	var levels []string
	for _, side := range []market.Side{market.Sell, market.Buy} {
		for l := range book.Levels(side) {
			levels = append(levels, fmt.Sprintf("%s %d @ %s", side, l.Quantity, l.Price))
		}
	}
	if want := []string{"SELL 50 @ 100.1", "SELL 30 @ 100.2", "BUY 200 @ 99.9", "BUY 300 @ 99.8"}; !reflect.DeepEqual(levels, want) {
		t.Errorf("got %q, want %q", levels, want)
	}
}

func TestLobsterWorksWithoutAnOpeningBook(t *testing.T) {
	t.Parallel()
	orders, faults, err := input.Lobster(fixture(t, "lobster-messages.csv"), nil, "MSFT")
	if err != nil || faults != nil || len(orders) != 13 || orders[0].Line != 1 || orders[0].Order.Symbol != "MSFT" {
		t.Errorf("got %d orders, %v, %v", len(orders), faults, err)
	}
}

func TestMalformedMessagesAreNamedAndTheRestComesThrough(t *testing.T) {
	t.Parallel()
	for row, want := range map[string]string{
		"34200.1,1,5,10,1000000":            "line 2: 5 fields where a message has 6",
		"34200.1,1,5,10,1000000,1,":         "line 2: 7 fields where a message has 6",
		"noon,1,5,10,1000000,1":             `line 2: time "noon" is not seconds after midnight`,
		"34200.1,8,5,10,1000000,1":          "line 2: type 8 is not within 1…7",
		"34200.1,1,x,10,1000000,1":          `line 2: order id "x" is not a number`,
		"34200.1,1,5,0,1000000,1":           "line 2: size 0 is not within 1…9999999999",
		"34200.1,1,5,1.5,1000000,1":         `line 2: size "1.5" is not a whole number`,
		"34200.1,1,5,10,-1,1":               "line 2: price -1 is not within 1…9999999999",
		"34200.1,1,5,10,1000000,0":          `line 2: direction "0" is not 1 or -1`,
		"x,x,x,x,x,x":                       `line 2: time "x" is not seconds after midnight; type "x" is not a whole number; order id "x" is not a number; size "x"`,
		"\xff":                              "line 2: the row is not valid UTF-8",
		strings.Repeat("1", input.MaxRow+1): "line 2: the row is longer than 4096 bytes",
	} {
		good := "34200.1,1,%s,10,1000000,1\r\n"
		file := strings.Replace(good, "%s", "1", 1) + row + "\n" + strings.Replace(good, "%s", "2", 1)
		orders, faults, err := input.Lobster(strings.NewReader(file), nil, "AAPL")
		if got := texts(faults); err != nil || len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%.40q: got %q, %v, want %q", row, got, err, want)
		}
		if len(orders) != 2 || orders[1].Line != 3 {
			t.Errorf("%.40q: got %+v", row, orders)
		}
	}
}

func TestOpeningBooksThatAreRefused(t *testing.T) {
	t.Parallel()
	for book, want := range map[string]string{
		"":                                      "opening book: the file is empty",
		"1000000,5,990000":                      "opening book: 3 fields, not four a level",
		"x,5,990000,-1":                         `opening book: price "x" is not a whole number`,
		"1000000,5,1000000,5":                   "opening book: the best bid is not below the best ask",
		"1000000,5,990000,5,1000000,5,980000,5": "opening book: SELL level 2 at price 1000000 is out of order",
		"1000000,5,990000,5,1010000,5,995000,5": "opening book: BUY level 2 at price 995000 is out of order",
		"-1,5,990000,5":                         "opening book: SELL level 1 at price -1 is out of order",
	} {
		orders, _, err := input.Lobster(fixture(t, "lobster-messages.csv"), strings.NewReader(book), "AAPL")
		if err == nil || !strings.HasPrefix(err.Error(), want) || orders != nil {
			t.Errorf("%q: got %v, want %s", book, err, want)
		}
	}
}
