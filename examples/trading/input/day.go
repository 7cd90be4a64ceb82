package input

import (
	"github.com/shopspring/decimal"

	"github.com/necrostack/necrostack/examples/trading/market"
)

// tradingDay is the day of the example's own orders.
const tradingDay = "2026-03-02"

// BlockedTraders lists the traders of Day whose trades are not settled.
func BlockedTraders() []string { return []string{"mallory"} }

// Day returns a short trading day that shows every outcome, with market.DefaultLimits and BlockedTraders.
func Day() []market.OrderSubmitted {
	var d day
	d.apple()
	d.others()
	d.refused()
	d.largePositions()
	return d.orders
}

// day collects orders.
type day struct{ orders []market.OrderSubmitted }

// apple fills one book well enough to draw it.
func (d *day) apple() {
	d.limit("a1", "alice", market.Sell, 300, "AAPL", "151.00") // queued
	d.limit("a2", "bob", market.Sell, 200, "AAPL", "150.50")
	d.limit("a3", "carol", market.Buy, 200, "AAPL", "150.00")
	d.limit("a4", "dave", market.Buy, 350, "AAPL", "150.75") // fills bob, the rest joins the book
	d.market("a5", "erin", market.Sell, 100, "AAPL")         // meets dave's rest
	d.limit("a6", "alice", market.Buy, 50, "AAPL", "151.00") // would meet alice's own: cancelled
	d.amend("a3", "carol", market.Reduce, 50)
	d.limit("a7", "frank", market.Buy, 400, "AAPL", "149.50")
	d.limit("a8", "bob", market.Buy, 120, "AAPL", "150.00") // behind carol, who kept her place
	d.limit("a9", "grace", market.Sell, 250, "AAPL", "151.75")
	d.limit("a10", "carol", market.Sell, 150, "AAPL", "152.00")
	d.limit("a11", "erin", market.Sell, 180, "AAPL", "150.00") // takes the rest of dave's and most of carol's
	d.amend("a7", "frank", market.Cancel, 0)
	d.limit("a12", "frank", market.Buy, 275, "AAPL", "149.25")
}

func (d *day) others() {
	d.limit("m1", "bob", market.Sell, 100, "MSFT", "410.10")
	d.market("m2", "carol", market.Buy, 250, "MSFT") // the rest is dropped
	d.limit("m3", "dave", market.Buy, 80, "MSFT", "409.80")

	d.market("t1", "dave", market.Buy, 100, "TSLA") // no liquidity

	d.limit("n1", "mallory", market.Sell, 40, "NVDA", "900.05") // mallory's trades are not settled
	d.limit("n2", "alice", market.Buy, 60, "NVDA", "905.00")

	d.limit("z1", "erin", market.Sell, 30, "AMZN", "178.20")
	d.order("z2", "grace", market.Buy, market.IOC, 50, "AMZN", "178.20") // takes what is there
	d.order("z3", "grace", market.Buy, market.IOC, 50, "AMZN", "178.20") // nothing is
	d.limit("z4", "erin", market.Sell, 30, "AMZN", "178.95")
}

func (d *day) refused() {
	d.limit("r1", "erin", market.Buy, 0, "IBM", "-1.00")          // three reasons
	d.order("r2", "frank", "HOLD", "STOP", 20_000, "META", "1")   // three more
	d.amend("a99", "carol", market.Cancel, 0)                     // unknown
	d.amend("a2", "bob", market.Cancel, 0)                        // gone
	d.amend("a1", "bob", market.Reduce, 10)                       // not bob's
	d.limit("a8", "bob", market.Buy, 10, "AAPL", "149.00")        // its id is taken
	d.limit("f1", "frank", market.Sell, 75, "META", "512.123456") // sound: prices are exact
}

// largePositions takes erin and grace over both limits, in GOOGL.
func (d *day) largePositions() {
	d.limit("g1", "grace", market.Sell, 8_000, "GOOGL", "140.00")
	d.limit("g2", "erin", market.Buy, 8_000, "GOOGL", "140.00") // worth 1,120,000: both cross
	d.limit("g3", "grace", market.Buy, 9_000, "GOOGL", "139.50")
	d.limit("g4", "erin", market.Sell, 9_000, "GOOGL", "139.50")
	d.limit("g5", "grace", market.Sell, 4_000, "GOOGL", "139.75")
	d.limit("g6", "erin", market.Buy, 5_000, "GOOGL", "139.75") // more than 20,000 shares in a day
}

func (d *day) limit(id, trader string, side market.Side, quantity int64, symbol, price string) {
	d.order(id, trader, side, market.Limit, quantity, symbol, price)
}

func (d *day) market(id, trader string, side market.Side, quantity int64, symbol string) {
	d.order(id, trader, side, market.Market, quantity, symbol, "0")
}

func (d *day) order(id, trader string, side market.Side, kind market.OrderType, quantity int64, symbol, price string) {
	d.orders = append(d.orders, market.OrderSubmitted{
		OrderID: id, TraderID: trader, Symbol: symbol, Side: side, OrderType: kind, Quantity: quantity,
		Price: decimal.RequireFromString(price), Action: market.New, Day: tradingDay,
	})
}

// amend asks to change an order in AAPL.
func (d *day) amend(id, trader string, action market.Action, quantity int64) {
	d.orders = append(d.orders, market.OrderSubmitted{
		OrderID: id, TraderID: trader, Symbol: "AAPL", Action: action, Quantity: quantity, Day: tradingDay,
	})
}
