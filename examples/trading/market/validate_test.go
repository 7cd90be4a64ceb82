package market_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/necrostack/necrostack/examples/trading/market"
)

func sound() market.OrderSubmitted {
	return market.OrderSubmitted{
		OrderID: "o1", TraderID: "ann", Symbol: "AAPL", Side: market.Buy, OrderType: market.Limit, Quantity: 100, Price: dec("150.25"),
		Action: market.New,
	}
}

func TestValidateNamesEveryReason(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*market.OrderSubmitted)
		want   []string // the beginning of each reason
	}{
		"sound":               {func(*market.OrderSubmitted) {}, nil},
		"market":              {func(o *market.OrderSubmitted) { o.OrderType, o.Price = market.Market, decimal.Decimal{} }, nil},
		"smallest quantity":   {func(o *market.OrderSubmitted) { o.Quantity = 1 }, nil},
		"largest quantity":    {func(o *market.OrderSubmitted) { o.Quantity = 10_000 }, nil},
		"no quantity":         {func(o *market.OrderSubmitted) { o.Quantity = 0 }, []string{"quantity 0"}},
		"negative quantity":   {func(o *market.OrderSubmitted) { o.Quantity = -1 }, []string{"quantity -1"}},
		"too many":            {func(o *market.OrderSubmitted) { o.Quantity = 10_001 }, []string{"quantity 10001"}},
		"highest price":       {func(o *market.OrderSubmitted) { o.Price = dec("100000") }, nil},
		"lowest price":        {func(o *market.OrderSubmitted) { o.Price = dec("0.00000001") }, nil},
		"price too high":      {func(o *market.OrderSubmitted) { o.Price = dec("100000.01") }, []string{"price 100000.01 is not above 0"}},
		"no price":            {func(o *market.OrderSubmitted) { o.Price = decimal.Decimal{} }, []string{"price 0 is not above 0"}},
		"negative price":      {func(o *market.OrderSubmitted) { o.Price = dec("-1") }, []string{"price -1 is not above 0"}},
		"no price for IOC":    {func(o *market.OrderSubmitted) { o.OrderType, o.Price = market.IOC, dec("0") }, []string{"price 0"}},
		"price too exact":     {func(o *market.OrderSubmitted) { o.Price = dec("1.000000001") }, []string{"price has more than 8"}},
		"price out of reason": {func(o *market.OrderSubmitted) { o.Price = decimal.New(1, 2_000_000_000) }, []string{"price is out of range"}},
		"price below reason":  {func(o *market.OrderSubmitted) { o.Price = decimal.New(1, -2_000_000_000) }, []string{"price has more than 8"}},
		"unknown symbol":      {func(o *market.OrderSubmitted) { o.Symbol = "IBM" }, []string{`symbol "IBM" is not one of AAPL GOOGL MSFT`}},
		"unknown side":        {func(o *market.OrderSubmitted) { o.Side = "HOLD" }, []string{`side "HOLD"`}},
		"unknown type":        {func(o *market.OrderSubmitted) { o.OrderType = "STOP" }, []string{`order_type "STOP"`}},
		"unknown action":      {func(o *market.OrderSubmitted) { o.Action = "amend" }, []string{`action "amend"`}},
		"no order id":         {func(o *market.OrderSubmitted) { o.OrderID = "" }, []string{"order_id is missing"}},
		"long order id":       {func(o *market.OrderSubmitted) { o.OrderID = strings.Repeat("x", 65) }, []string{"order_id is longer than 64 bytes"}},
		"order id with bell":  {func(o *market.OrderSubmitted) { o.OrderID = "a\ab" }, []string{`order_id "a\ab" contains unprintable`}},
		"order id not UTF-8":  {func(o *market.OrderSubmitted) { o.OrderID = "a\xff" }, []string{"order_id is not valid UTF-8"}},
		"padded trader":       {func(o *market.OrderSubmitted) { o.TraderID = " ann" }, []string{`trader_id " ann" begins or ends`}},
		"no trader":           {func(o *market.OrderSubmitted) { o.TraderID = "" }, []string{"trader_id is missing"}},
		"anonymous":           {func(o *market.OrderSubmitted) { o.TraderID, o.Anonymous = "", true }, nil},
		"anonymous trader":    {func(o *market.OrderSubmitted) { o.Anonymous = true }, []string{`anonymous order names trader "ann"`}},
		"trading day":         {func(o *market.OrderSubmitted) { o.Day = "2012-06-21" }, nil},
		"no such day":         {func(o *market.OrderSubmitted) { o.Day = "2012-06-31" }, []string{`day "2012-06-31"`}},
		"bare cancel": {func(o *market.OrderSubmitted) {
			*o = market.OrderSubmitted{OrderID: "o1", TraderID: "ann", Symbol: "AAPL", Action: market.Cancel}
		}, nil},
		"bare reduce": {func(o *market.OrderSubmitted) {
			*o = market.OrderSubmitted{OrderID: "o1", TraderID: "ann", Symbol: "AAPL", Action: market.Reduce, Quantity: 5}
		}, nil},
		"reduce by nothing": {func(o *market.OrderSubmitted) { o.Action, o.Quantity = market.Reduce, 0 }, []string{"quantity 0"}},
		"everything wrong": {
			func(o *market.OrderSubmitted) { *o = market.OrderSubmitted{} },
			[]string{"order_id", "trader_id", "symbol", "action", "side", "order_type", "quantity"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := sound()
			c.change(&o)
			got := market.Validate(o)
			if len(got) != len(c.want) {
				t.Fatalf("got %q, want %q", got, c.want)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], c.want[i]) {
					t.Errorf("got %q, want %q…", got[i], c.want[i])
				}
			}
		})
	}
}

func TestCheckKeepsTheOrderOrGivesAllReasons(t *testing.T) {
	t.Parallel()
	if got, want := market.Check(sound()), market.Payload(market.OrderValidated(sound())); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	bad := sound()
	bad.Quantity, bad.Symbol = 0, "IBM"
	rejected, ok := market.Check(bad).(market.OrderRejected)
	if !ok || len(rejected.Reasons) != 2 || rejected.OrderID != "o1" || rejected.TraderID != "ann" || rejected.Symbol != "IBM" {
		t.Errorf("got %+v", rejected)
	}
}

func TestNumbersAreReadExactlyOrRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"150.10": "150.1", "0.1": "0.1", "1e2": "100", "1.5E1": "15", "-3": "-3", "0.00000001": "0.00000001", "1.000000000": "1",
		"": "is not a decimal number", "abc": "is not a decimal number", "1,000": "is not a decimal number", "1 0": "is not a decimal number",
		"0x10": "is not a decimal number", "1_0": "is not a decimal number", "NaN": "is not a decimal number", "1.2.3": "is not a decimal number",
		"0.000000001": "has more than 8 decimal places", "1e-9": "has more than 8 decimal places",
		"1e100": "is out of range", "1e999999999": "is not a decimal number", strings.Repeat("9", 41): "is out of range",
	} {
		got, err := market.ParseNumber(text)
		if err != nil && err.Error() != want || err == nil && got.String() != want {
			t.Errorf("%q: got %s, %v, want %s", text, got, err, want)
		}
	}
}

func TestQuantitiesAreWholeOrRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"100": 100, "1e2": 100, "100.0": 100, "-5": -5, "0": 0} {
		if got, err := market.ParseWhole(text); got != want || err != nil {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"1.5": "is not a whole number", "1e-9": "is not a whole number", "99999999999999999999": "is out of range", "ten": "is not a decimal number",
	} {
		if _, err := market.ParseWhole(text); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestOrdersInJSONCarryPricesAsStrings(t *testing.T) {
	t.Parallel()
	data, err := json.Marshal(sound())
	want := `{"order_id":"o1","trader_id":"ann","symbol":"AAPL","side":"BUY","action":"new","order_type":"LIMIT","quantity":100,"price":"150.25"}`
	if err != nil || string(data) != want {
		t.Errorf("got %s, %v, want %s", data, err, want)
	}
}
