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
