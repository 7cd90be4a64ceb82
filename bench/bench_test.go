package main

import (
	"encoding/json"
	"testing"
)

// The figures say that their payload has 120 bytes.
func TestPayloadHas120Bytes(t *testing.T) {
	t.Parallel()
	data, err := json.Marshal(sample)
	if err != nil || len(data) != 120 {
		t.Errorf("%d bytes: %s (%v)", len(data), data, err)
	}
}

// The figures of PostgreSQL say that their payload has 225 bytes, and their metadata 54.
func TestRowsOfTheFiguresHave350Bytes(t *testing.T) {
	t.Parallel()
	data, err := json.Marshal(wide)
	if err != nil || len(data) != 225 {
		t.Errorf("%d bytes: %s (%v)", len(data), data, err)
	}
	if len(metadata) != 54 {
		t.Errorf("metadata has %d bytes", len(metadata))
	}
	if n := len(data) + len(metadata) + len(wide.EventType()) + 4*8 + 16 + len("o1-63.1234"); n < 345 || n > 360 {
		t.Errorf("a row has %d bytes", n)
	}
}
