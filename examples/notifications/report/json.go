package report

import (
	"encoding/json"
	"fmt"
	"io"
)

// JSON writes the counters as one JSON object on one line.
func JSON(w io.Writer, s Summary) error {
	if err := json.NewEncoder(w).Encode(s.Counts()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
