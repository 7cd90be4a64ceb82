package input_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/necrostack/necrostack/examples/trading/input"
	"github.com/necrostack/necrostack/examples/trading/market"
)

const element = `{"trader_id":"ann","symbol":"AAPL","side":"BUY","order_type":"LIMIT","quantity":100,"price":"150.10","order_id":"o1","action":"new"}`

func TestJSONElementsBecomeOrders(t *testing.T) {
	t.Parallel()
	ann := market.OrderSubmitted{
		OrderID: "o1", TraderID: "ann", Symbol: "AAPL", Side: market.Buy, OrderType: market.Limit, Quantity: 100, Price: dec("150.10"),
		Action: market.New,
	}
	exact, unnamed := ann, ann
	exact.Price = dec("0.30000001")
	unnamed.OrderID = "element-1"
	for name, c := range map[string]struct {
		file string
		want market.OrderSubmitted
		line int
	}{
		"an array":              {"[" + element + "]", ann, 1},
		"an object with one":    {`{"orders":[` + element + "]}\n", ann, 1},
		"byte order mark, CRLF": {"\ufeff[\r\n" + element + "\r\n]\r\n", ann, 2},
		"line of the element":   {"\n{\n\"orders\":\n[\n\n  " + element + "]}", ann, 6},
		"a price without rounding": {
			"[" + strings.Replace(element, `"150.10"`, "0.30000001", 1) + "]", exact, 1,
		},
		"a quantity as a string":   {"[" + strings.Replace(element, "100", `"100"`, 1) + "]", ann, 1},
		"a quantity in E notation": {"[" + strings.Replace(element, "100", "1E2", 1) + "]", ann, 1},
		"no order_id and action":   {"[" + strings.Replace(element, `,"order_id":"o1","action":"new"`, "", 1) + "]", unnamed, 1},
		"null is absent":           {"[" + strings.Replace(element, `"o1"`, "null", 1) + "]", unnamed, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			orders, faults, err := input.JSON(strings.NewReader(c.file))
			if err != nil || faults != nil || len(orders) != 1 {
				t.Fatalf("got %+v, %v, %v", orders, faults, err)
			}
			got, want := orders[0], c.want
			if !got.Order.Price.Equal(want.Price) || got.Line != c.line || got.Unnamed != (want.OrderID == "element-1") {
				t.Errorf("got price %s on line %d, want %s on %d", got.Order.Price, got.Line, want.Price, c.line)
			}
			if got.Order.Price = want.Price; !reflect.DeepEqual(got.Order, want) {
				t.Errorf("got %+v, want %+v", got.Order, want)
			}
		})
	}
}

func TestMalformedJSONElementsAreNamedAndTheRestComesThrough(t *testing.T) {
	t.Parallel()
	for bad, want := range map[string]string{
		"7":                          "line 2, element 2: not an object",
		"null":                       "line 2, element 2: not an object",
		"[{}]":                       "line 2, element 2: not an object",
		`{"quantity":1.5}`:           "line 2, element 2: quantity \"1.5\" is not a whole number",
		`{"quantity":true}`:          "line 2, element 2: the field quantity is neither a string nor a number",
		`{"price":{"amount":1}}`:     "line 2, element 2: the field price is neither a string nor a number",
		`{"price":1e400}`:            "line 2, element 2: price \"1e400\" is out of range",
		`{"qty":5}`:                  "line 2, element 2: the field \"qty\" is unknown",
		`{"price":1,"price":2}`:      "line 2, element 2: the field price is given twice",
		`{"trader_id":"a\u0000b"}`:   `line 2, element 2: trader_id "a\x00b" contains a control character`,
		"{\"trader_id\":\"a\xffb\"}": "line 2, element 2: the order is not valid UTF-8",
		`{"trader_id":"` + strings.Repeat("a", input.MaxRow) + `"}`:             "line 2, element 2: the order is longer than 4096 bytes",
		`{"price":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + "}": "line 2, element 2: the field price is neither a string nor a number",
	} {
		orders, faults, err := input.JSON(strings.NewReader("[" + element + ",\n" + bad + "\n,\n" + element + "]"))
		if got := texts(faults); err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%.40q: got %q, %v, want %q", bad, got, err, want)
		}
		if len(orders) != 2 || orders[0].Line != 1 || orders[1].Line != 4 {
			t.Errorf("%.40q: got %+v", bad, orders)
		}
	}
}

func TestWhereJSONEndsEarlyWhatCameBeforeStands(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"[" + element:                                     "line 1: the rest cannot be read: the file ends in the middle",
		"[" + element + ",\n\n":                           "line 3: the rest cannot be read: the file ends in the middle",
		"[" + element + ",\n{\"price\":":                  "line 2: the rest cannot be read: the file ends in the middle",
		`{"orders":[` + element + "]":                     "line 1: the rest cannot be read: the file ends in the middle",
		"[" + element + "\n}":                             "line 2: the rest cannot be read: invalid character '}'",
		"[" + element + ",\n{oops}]":                      "line 2: the rest cannot be read: invalid character 'o'",
		"[" + element + "]\n[]":                           "line 2: data after the end of the orders",
		"[" + element + "] x":                             "line 1: data after the end of the orders",
		`{"orders":[` + element + `],"n":1}`:              `line 1: the field "n" is unknown or repeated`,
		"{\n\"n\":[1,{}],\"orders\":[" + element + "]}":   `line 2: the field "n" is unknown or repeated`,
		`{"orders":[` + element + `],"orders":[]}`:        `line 1: the field "orders" is unknown or repeated`,
		"[" + element + "," + strings.Repeat("[", 20_000): "line 1: the rest cannot be read: invalid character '[' exceeded max depth",
	} {
		orders, faults, err := input.JSON(strings.NewReader(file))
		if got := texts(faults); err != nil || len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%.200q: got %q, %v, want %q", file, got, err, want)
		}
		if len(orders) != 1 {
			t.Errorf("%.200q: got %+v", file, orders)
		}
	}
}

func TestJSONFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"":              "the file is empty",
		"7":             "neither an array of orders nor an object with one",
		"\n\noops":      "line 3: invalid character 'o'",
		"{}":            "the object has no field orders",
		`{"orders":{}}`: "the field orders is not an array",
		`{"orders":7}`:  "the field orders is not an array",
	} {
		orders, faults, err := input.JSON(strings.NewReader(file))
		if err == nil || !strings.HasPrefix(err.Error(), want) || orders != nil || faults != nil {
			t.Errorf("%.40q: got %d orders, %d faults, %v, want %s", file, len(orders), len(faults), err, want)
		}
	}
}
