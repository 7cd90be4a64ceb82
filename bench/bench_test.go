package main

import (
	"encoding/json"
	"runtime"
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

// What views are folded from is as wide, but for what the numbers of accounts differ in.
func TestMovementsAreAsWideAsOtherRows(t *testing.T) {
	t.Parallel()
	data, err := json.Marshal(movement{Account: "54321", Group: "321", Cents: 321, Note: note})
	if err != nil || len(data) != 225 {
		t.Errorf("%d bytes: %s (%v)", len(data), data, err)
	}
	if len(movement{}.EventType()) != len(wide.EventType()) {
		t.Errorf("type %q is not as long as %q", movement{}.EventType(), wide.EventType())
	}
}

// However short it is: the last look comes when it is over.
func TestTheHeapAtItsPeakHoldsWhatARunDoes(t *testing.T) {
	t.Parallel()
	const size = 64 << 20
	var held []byte
	h, err := watched(func() error { held = make([]byte, size); return nil })
	if err != nil || len(held) != size || h.peak < size || h.sys < h.peak {
		t.Errorf("%+v (%v)", h, err)
	}
	runtime.KeepAlive(held)
}
