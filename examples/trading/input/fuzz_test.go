package input_test

import (
	"encoding/csv"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/necrostack/necrostack/examples/trading/input"
	"github.com/necrostack/necrostack/examples/trading/market"
)

// check holds what is true of every reader's answer, whatever the file was.
func check(t *testing.T, file []byte, orders []input.Numbered, faults []input.Fault, err error) {
	t.Helper()
	if err != nil && (orders != nil || faults != nil) {
		t.Fatalf("refused (%v), yet %d orders and %d faults", err, len(orders), len(faults))
	}
	last, end := 0, strings.Count(string(file), "\n")+1
	for _, o := range orders {
		if o.Line < last || o.Line > end {
			t.Fatalf("order on line %d after %d of %d", o.Line, last, end)
		}
		last = o.Line
		market.Check(o.Order) // must neither panic nor take long
	}
	for _, f := range faults {
		if f.Reason == "" || f.Line < 1 || f.Line > end {
			t.Fatalf("fault %+v of %d lines", f, end)
		}
	}
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte(header + "ann,AAPL,BUY,LIMIT,100,150.10,o1,new\n"))
	f.Add([]byte("\ufeffprice,quantity,order_type,side,symbol,trader_id\r\n1e-3,\"1,0\",\"LI\"\"MIT\",x,y,z\r\n"))
	f.Add([]byte(header + "ann,AAPL,BUY,LIMIT,1e999999999,1e-999999999,o1,new\n\"\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		orders, faults, err := input.CSV(strings.NewReader(string(file)))
		check(t, file, orders, faults, err)
	})
}

// FuzzCSVQuoting holds our one-line reader against the standard library's.
func FuzzCSVQuoting(f *testing.F) {
	f.Add(`a,"b ""c"", d",e`)
	f.Add(`"",,""`)
	f.Add(`"a"b,c`)
	f.Fuzz(func(t *testing.T, row string) {
		columns := "trader_id,symbol,order_id,side,order_type,quantity,price"
		file := columns + "\n" + row + ",,,,\n" // three fields of the fuzzer's
		if strings.ContainsAny(row, "\r\n") || len(row) > 1000 {
			return // not one row
		}
		orders, _, err := input.CSV(strings.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		want, err := csv.NewReader(strings.NewReader(file)).ReadAll()
		if len(orders) == 0 {
			return // other faults are our own
		}
		if err != nil || len(want) != 2 {
			t.Fatalf("%q came through, encoding/csv says %q, %v", row, want, err)
		}
		o := orders[0].Order
		got := []string{o.TraderID, o.Symbol, o.OrderID}
		for i := range want[1] {
			want[1][i] = strings.TrimSpace(want[1][i])
		}
		if want[1][2] == "" {
			want[1][2] = "line-2"
		}
		if !slices.Equal(got, want[1][:3]) {
			t.Fatalf("%q: got %q, want %q", row, got, want[1][:3])
		}
	})
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte("[" + element + "]"))
	f.Add([]byte("{\"orders\":\n[" + element + ",{\"price\":1e400},7]}"))
	f.Add([]byte(`{"a":[[]],"orders":[]}x`))
	f.Fuzz(func(t *testing.T, file []byte) {
		orders, faults, err := input.JSON(strings.NewReader(string(file)))
		check(t, file, orders, faults, err)
	})
}

func FuzzLobster(f *testing.F) {
	messages, err := os.ReadFile("testdata/lobster-messages.csv")
	if err != nil {
		f.Fatal(err)
	}
	book, err := os.ReadFile("testdata/lobster-book.csv")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(messages, book)
	f.Fuzz(func(t *testing.T, messages, book []byte) {
		orders, faults, err := input.Lobster(strings.NewReader(string(messages)), strings.NewReader(string(book)), "AAPL")
		check(t, messages, orders, faults, err)
	})
}
