package market

import "github.com/shopspring/decimal"

// Limits are what a trader may have at risk. A zero limit is none.
type Limits struct {
	PositionValue decimal.Decimal // of one symbol, long or short, at its last price
	DailyVolume   int64           // shares traded in a day, bought and sold, all symbols together
}

// DefaultLimits are those of the example: a position worth 1,000,000 and 20,000 shares a day.
func DefaultLimits() Limits {
	return Limits{PositionValue: decimal.New(1_000_000, 0), DailyVolume: 20_000}
}

// RiskKind says which limit a RiskAlert is about.
type RiskKind string

// The kinds of risk.
const (
	PositionValue RiskKind = "POSITION_VALUE"
	DailyVolume   RiskKind = "DAILY_VOLUME"
)

// RiskAlert says that a settled trade took a trader over a limit. While the trader stays above it there is no other; who comes back
// under it and crosses it again is reported again.
type RiskAlert struct {
	TraderID string          `json:"trader_id"`
	Kind     RiskKind        `json:"kind"`
	Symbol   string          `json:"symbol,omitempty"` // of the position; empty for the volume
	TradeID  string          `json:"trade_id"`         // the trade that crossed
	Value    decimal.Decimal `json:"value"`            // what stands against the limit now: a value, or shares
	Limit    decimal.Decimal `json:"limit"`
	Day      string          `json:"day,omitempty"`
}

// EventType implements the framework's payload.
func (RiskAlert) EventType() string { return "RISK_ALERT" }

// Exposure is what one trader has at risk. It changes only by ExposureChanged; the zero value is a trader who never traded.
type Exposure struct {
	Positions map[string]Position `json:"positions,omitempty"` // by symbol
	Day       string              `json:"day,omitempty"`       // of the latest trade
	Volume    int64               `json:"volume,omitempty"`    // shares traded on Day
}

// Position is what a trader holds of a symbol.
type Position struct {
	Quantity int64           `json:"quantity"` // negative: short
	Last     decimal.Decimal `json:"last"`     // the price of the trader's latest trade in it
}

// Value is the position's worth at its last price, long or short alike.
func (p Position) Value() decimal.Decimal { return valueOf(p.Last, p.Quantity).Abs() }

// Settled moves the position and the volume of the day.
func (x *Exposure) Settled(e SettlementComplete) {
	position, volume := x.after(e)
	if x.Positions == nil {
		x.Positions = map[string]Position{}
	}
	x.Positions[e.Symbol] = position
	x.Day, x.Volume = e.Day, volume
}

// Assess returns a RiskAlert for every limit that the settled trade crosses, judged before it is folded. Trades without a trader put
// nobody at risk.
func (x *Exposure) Assess(e SettlementComplete, limits Limits) []Payload {
	if e.TraderID == "" {
		return nil
	}
	var alerts []Payload
	alert := func(kind RiskKind, symbol string, value, limit decimal.Decimal) {
		alerts = append(alerts, RiskAlert{
			TraderID: e.TraderID, Kind: kind, Symbol: symbol, TradeID: e.TradeID, Value: value, Limit: limit, Day: e.Day,
		})
	}
	position, volume := x.after(e)
	if limit := limits.PositionValue; crosses(x.Positions[e.Symbol].Value(), position.Value(), limit) {
		alert(PositionValue, e.Symbol, position.Value(), limit)
	}
	before, after, limit := decimal.NewFromInt(volume-e.Quantity), decimal.NewFromInt(volume), decimal.NewFromInt(limits.DailyVolume)
	if crosses(before, after, limit) {
		alert(DailyVolume, "", after, limit)
	}
	return alerts
}

// after is the position and the volume of the day once the trade is in.
func (x *Exposure) after(e SettlementComplete) (Position, int64) {
	position := x.Positions[e.Symbol]
	position.Last = e.Price
	if e.Side == Buy {
		position.Quantity += e.Quantity
	} else {
		position.Quantity -= e.Quantity
	}
	if e.Day != x.Day {
		return position, e.Quantity
	}
	return position, x.Volume + e.Quantity
}

func crosses(before, after, limit decimal.Decimal) bool {
	return limit.IsPositive() && !before.GreaterThan(limit) && after.GreaterThan(limit)
}

// ExposureChanged says that a settled trade has moved a trader's exposure: the history that Exposure is folded from.
type ExposureChanged SettlementComplete

// EventType implements the framework's payload.
func (ExposureChanged) EventType() string { return "EXPOSURE_CHANGED" }

// Changed folds an ExposureChanged.
func (x *Exposure) Changed(e ExposureChanged) { x.Settled(SettlementComplete(e)) }
