package input_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/shopspring/decimal"

	"github.com/necrostack/necrostack/examples/trading/input"
	"github.com/necrostack/necrostack/examples/trading/market"
)

const header = "trader_id,symbol,side,order_type,quantity,price,order_id,action\n"

func dec(s string) decimal.Decimal { return decimal.RequireFromString(s) }

// texts writes faults one by one.
func texts(faults []input.Fault) []string {
	s := make([]string, len(faults))
	for i, f := range faults {
		s[i] = f.String()
	}
	return s
}

func TestCSVRowsBecomeOrders(t *testing.T) {
	t.Parallel()
	ann := market.OrderSubmitted{
		OrderID: "o1", TraderID: "ann", Symbol: "AAPL", Side: market.Buy, OrderType: market.Limit, Quantity: 100, Price: dec("150.10"),
		Action: market.New,
	}
	unnamed := ann
	unnamed.OrderID = "line-2"
	for name, c := range map[string]struct {
		file string
		want market.OrderSubmitted
		line int
	}{
		"all columns":           {header + "ann,AAPL,BUY,LIMIT,100,150.10,o1,new\n", ann, 2},
		"no newline at the end": {header + "ann,AAPL,BUY,LIMIT,100,150.10,o1,new", ann, 2},
		"order_id and action left out": {
			"trader_id,symbol,side,order_type,quantity,price\nann,AAPL,BUY,LIMIT,100,150.10\n", unnamed, 2,
		},
		"order_id and action empty":     {header + "ann,AAPL,BUY,LIMIT,100,150.10,,\n", unnamed, 2},
		"columns in any order":          {"price,quantity,ORDER_TYPE, side ,symbol,trader_id,order_id\n150.10,100,LIMIT,BUY,AAPL,ann,o1\n", ann, 2},
		"words in any case":             {header + "ann,AAPL,buy,Limit,100,150.10,o1,NEW\n", ann, 2},
		"byte order mark and CRLF":      {"\ufeff" + strings.ReplaceAll(header+"ann,AAPL,BUY,LIMIT,100,150.10,o1,new\n", "\n", "\r\n"), ann, 2},
		"blank lines count, as lines":   {"\n" + header + "\n  \nann,AAPL,BUY,LIMIT,100,150.10,o1,new\n\n", ann, 5},
		"quotes":                        {header + `"ann","AAPL","BUY","LIMIT","100","150.10","o1","new"` + "\n", ann, 2},
		"spaces around values":          {header + " ann ,AAPL , BUY,LIMIT, 100 ,150.10,o1,new\n", ann, 2},
		"a whole number in other words": {header + "ann,AAPL,BUY,LIMIT,1e2,150.10,o1,new\n", ann, 2},
		"quoted commas and quotes": {
			header + `"a ""b"", c",AAPL,CANCEL,,,,o1,cancel`,
			market.OrderSubmitted{OrderID: "o1", TraderID: `a "b", c`, Symbol: "AAPL", Side: "CANCEL", Action: market.Cancel},
			2,
		},
		"what validation judges comes through": {
			header + "ann,IBM,hold,stop,-5,-1.5,o1,amend\n",
			market.OrderSubmitted{
				OrderID: "o1", TraderID: "ann", Symbol: "IBM", Side: "hold", OrderType: "stop", Quantity: -5, Price: dec("-1.5"), Action: "amend",
			},
			2,
		},
		"a cancel without an id gets none": {
			header + "ann,AAPL,,,,,,cancel\n", market.OrderSubmitted{TraderID: "ann", Symbol: "AAPL", Action: market.Cancel}, 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			orders, faults, err := input.CSV(strings.NewReader(c.file))
			if want := []input.Numbered{{Line: c.line, Unnamed: c.want.OrderID == "line-2", Order: c.want}}; err != nil || faults != nil || !reflect.DeepEqual(orders, want) {
				t.Errorf("got %+v, %v, %v, want %+v", orders, faults, err, want)
			}
		})
	}
}

func TestMalformedCSVRowsAreNamedAndTheRestComesThrough(t *testing.T) {
	t.Parallel()
	for row, want := range map[string]string{
		"ann,AAPL,BUY,LIMIT,ten,1,o2,new":                  `line 3: quantity "ten" is not a decimal number`,
		"ann,AAPL,BUY,LIMIT,1.5,1,o2,new":                  `line 3: quantity "1.5" is not a whole number`,
		"ann,AAPL,BUY,LIMIT,99999999999999999999,1,o2,new": `line 3: quantity "99999999999999999999" is out of range`,
		"ann,AAPL,BUY,LIMIT,10,1e99,o2,new":                `line 3: price "1e99" is out of range`,
		"ann,AAPL,BUY,LIMIT,10,$1,o2,new":                  `line 3: price "$1" is not a decimal number`,
		"ann,AAPL,BUY,LIMIT,10,0.000000001,o2,new":         `line 3: price "0.000000001" has more than 8 decimal places`,
		"ann,AAPL,BUY,LIMIT,x,y,o2,new":                    `line 3: quantity "x" is not a decimal number; price "y" is not a decimal number`,
		"ann,AAPL,BUY":                                     "line 3: 3 fields where the header has 8",
		"ann,AAPL,BUY,LIMIT,10,1,o2,new,":                  "line 3: 9 fields where the header has 8",
		`"ann,AAPL,BUY,LIMIT,10,1,o2,new`:                  "line 3: a quoted field does not end on its line",
		`"ann"x,AAPL,BUY,LIMIT,10,1,o2,new`:                "line 3: text after a quoted field",
		`an"n,AAPL,BUY,LIMIT,10,1,o2,new`:                  "line 3: a quote within a field that does not begin with one",
		"an\xffn,AAPL,BUY,LIMIT,10,1,o2,new":               "line 3: the row is not valid UTF-8",
		"an\x00n,AAPL,BUY,LIMIT,10,1,o2,new":               `line 3: trader_id "an\x00n" contains a control character`,
		"ann,AAPL,BUY,LIMIT,10,1,o\x1b[2Jx,new":            `line 3: order_id "o\x1b[2Jx" contains a control character`,
		strings.Repeat("a", input.MaxRow+1) + ",,,,":       "line 3: the row is longer than 4096 bytes",
	} {
		good := "bob,AAPL,SELL,MARKET,5,,"
		orders, faults, err := input.CSV(strings.NewReader(header + good + "o1,new\n" + row + "\n" + good + "o3,new\n"))
		if got := texts(faults); err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%.40q: got %q, %v, want %q", row, got, err, want)
		}
		if len(orders) != 2 || orders[0].Order.OrderID != "o1" || orders[1].Order.OrderID != "o3" || orders[1].Line != 4 {
			t.Errorf("%.40q: got %+v", row, orders)
		}
	}
}

func TestCSVFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"":                "the file is empty",
		"\n\r\n":          "the file is empty",
		"\ufeff":          "the file is empty",
		"trader,qty\n1,2": `line 1: the header has the unknown column "trader", has the unknown column "qty", lacks the column trader_id`,
		"trader_id,symbol,side,order_type,quantity\n":         "line 1: the header lacks the column price",
		"\n" + strings.Replace(header, "action", "symbol", 1): "line 2: the header names symbol twice",
		"\xff" + header: "line 1: the header is not valid UTF-8",
		`"` + header:    "line 1: the header a quoted field does not end on its line",
	} {
		orders, faults, err := input.CSV(strings.NewReader(file))
		if err == nil || !strings.HasPrefix(err.Error(), want) || orders != nil || faults != nil {
			t.Errorf("%.40q: got %d orders, %d faults, %v, want %s", file, len(orders), len(faults), err, want)
		}
	}
}

func TestAFileThatCannotBeReadIsReported(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	for _, name := range []string{"x.json", "x.csv", "x"} {
		if _, _, err := input.Orders(name, iotest.ErrReader(broken)); !errors.Is(err, broken) {
			t.Errorf("%s: got %v, want %v", name, err, broken)
		}
	}
	if _, _, err := input.Lobster(strings.NewReader("x"), iotest.ErrReader(broken), "AAPL"); !errors.Is(err, broken) {
		t.Errorf("opening book: got %v, want %v", err, broken)
	}
}

func TestTheFormatFollowsTheNameElseTheContent(t *testing.T) {
	t.Parallel()
	row := header + "ann,AAPL,BUY,MARKET,1,,o1,new\n"
	doc := ` [{"order_id":"o1"}]`
	for name, c := range map[string]struct {
		content string
		ok      bool
	}{
		"a.csv": {row, true}, "b.JSON": {doc, true}, "c.json": {row, false}, "d.csv": {doc, false}, "e": {row, true}, "f.txt": {doc, true},
		"g": {"\ufeff" + doc, true}, "h": {"", false},
	} {
		orders, _, err := input.Orders(name, strings.NewReader(c.content))
		if (err == nil) != c.ok || c.ok && len(orders) != 1 {
			t.Errorf("%s: got %+v, %v", name, orders, err)
		}
	}
}
