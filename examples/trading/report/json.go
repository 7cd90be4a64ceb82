package report

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/necrostack/necrostack/examples/trading/market"
)

// JSON writes a run as one JSON object on one line: the counters, the books (a level is [price, quantity], the price a decimal string,
// best price first) and, for a replay, its executions.
func JSON(w io.Writer, s Summary) error {
	books := make(map[string]jsonBook, len(s.Books))
	for symbol, b := range s.Books {
		books[symbol] = jsonBook{Bids: jsonLevels(b.Bids), Asks: jsonLevels(b.Asks)}
	}
	err := json.NewEncoder(w).Encode(struct {
		Counters
		Books      map[string]jsonBook `json:"books"`
		Executions *Executions         `json:"executions,omitempty"`
	}{s.Counts, books, s.Executions})
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

type jsonBook struct {
	Bids [][2]any `json:"bids"`
	Asks [][2]any `json:"asks"`
}

// jsonLevels is never nil, so that an empty side is [] and not null.
func jsonLevels(levels []market.Level) [][2]any {
	rows := make([][2]any, 0, len(levels))
	for _, l := range levels {
		rows = append(rows, [2]any{l.Price.String(), l.Quantity})
	}
	return rows
}
