package input_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/necrostack/necrostack/examples/trading/input"
	"github.com/necrostack/necrostack/examples/trading/market"
)

// signed reads a CSV file and signs its orders.
func signed(t *testing.T, name, rows string) []input.Numbered {
	t.Helper()
	orders, faults, err := input.CSV(strings.NewReader(header + rows))
	if err != nil || faults != nil {
		t.Fatal(faults, err)
	}
	input.Sign(name, orders)
	return orders
}

const (
	ann = "ann,AAPL,BUY,LIMIT,1,10,,\n"
	bob = "bob,AAPL,SELL,LIMIT,1,10,b1,\n"
)

func TestARowKeepsItsIDWhereverItStands(t *testing.T) {
	t.Parallel()
	first := signed(t, "a.csv", ann+bob)
	again := signed(t, "dir/a.csv", "zoe,AAPL,BUY,LIMIT,1,10,z,\n"+"bob,AAPL,sell,limit,1e0, 10.0,b1,new\n"+ann)
	if first[0].ID != again[2].ID || first[1].ID != again[1].ID {
		t.Errorf("%+v became %+v", first, again)
	}
	if first[1].ID.String() != "78fef7b3-6aef-5da6-b451-80fb0cd2dc3f" {
		t.Errorf("ids of an earlier version are not recognised any more: got %s", first[1].ID)
	}
}

func TestRowsThatDifferHaveDifferentIDs(t *testing.T) {
	t.Parallel()
	all := signed(t, "a.csv", ann+ann+ann+bob+ // three of ann's on purpose
		"bob,MSFT,SELL,LIMIT,1,10,b1,\n"+"bob,AAPL,BUY,LIMIT,1,10,b1,\n"+"bob,AAPL,SELL,IOC,1,10,b1,\n"+"bob,AAPL,SELL,LIMIT,2,10,b1,\n"+
		"bob,AAPL,SELL,LIMIT,1,11,b1,\n"+"bob,AAPL,SELL,LIMIT,1,10,b2,\n"+"bob,AAPL,SELL,LIMIT,1,10,b1,cancel\n"+"rob,AAPL,SELL,LIMIT,1,10,b1,\n")
	all = append(all, signed(t, "b.csv", ann+bob)...)
	seen := map[uuid.UUID]int{}
	for i, o := range all {
		if before, twice := seen[o.ID]; twice {
			t.Errorf("rows %d and %d are both %s", before, i, o.ID)
		}
		seen[o.ID] = i
	}
}

func TestOrdersWithoutAnIDAreCalledAfterTheirFileWhereverItNamesThem(t *testing.T) {
	t.Parallel()
	for file, label := range map[string]string{
		"dir/a.csv":                      "a.csv",
		"a b.csv":                        "cf2a05b6",
		"a\x1b[2J.csv":                   "2f8c2bcd",
		"a\xff.csv":                      "fc3c285d",
		strings.Repeat("long", 20):       "75ae8079",
		strings.Repeat("x", 28) + ".csv": strings.Repeat("x", 28) + ".csv",
	} {
		var got []string
		for _, o := range signed(t, file, ann+bob+"ann,AAPL,,,,,line-2,cancel\n"+"ann,AAPL,,,,,line-3,cancel\n") {
			got = append(got, o.Order.OrderID)
			if o.Order.Action == market.New && len(market.Validate(o.Order)) > 0 {
				t.Errorf("%q: %q", file, market.Validate(o.Order))
			}
		}
		if want := []string{label + ":line-2", "b1", label + ":line-2", "line-3"}; !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", file, got, want)
		}
	}
}

func TestAReplaysExecutionsExpectTheOpeningOrdersOfTheirFile(t *testing.T) {
	t.Parallel()
	orders, _, err := input.Lobster(fixture(t, "lobster-messages.csv"), fixture(t, "lobster-book.csv"), "AAPL")
	if err != nil {
		t.Fatal(err)
	}
	input.Sign("day.csv", orders)
	opening, expected := map[string]bool{}, 0
	for _, o := range orders {
		switch {
		case o.Line == 0:
			opening[o.Order.OrderID] = true
			if !strings.HasPrefix(o.Order.OrderID, "day.csv:opening-") {
				t.Errorf("got %+v", o)
			}
		case o.Order.Expects != "":
			if !strings.HasPrefix(o.Order.OrderID, "day.csv:execution-") {
				t.Errorf("got %+v", o)
			}
			if opening[o.Order.Expects] {
				expected++
			}
		}
	}
	if expected == 0 {
		t.Error("no execution expects an order of the opening book")
	}
}
