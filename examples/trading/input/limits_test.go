package input

import (
	"io"
	"strings"
	"testing"
)

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// readers are the readers of all formats, with a file of n rows for each.
func readers(b bounds) map[string]struct {
	read func(io.Reader) ([]Numbered, []Fault, error)
	rows func(n int) string
} {
	type reader = struct {
		read func(io.Reader) ([]Numbered, []Fault, error)
		rows func(n int) string
	}
	return map[string]reader{
		"csv": {b.csv, func(n int) string {
			return "trader_id,symbol,side,order_type,quantity,price\n" + strings.Repeat("ann,AAPL,BUY,MARKET,1,\n\n", n)
		}},
		"json": {b.json, func(n int) string { return "[" + strings.Repeat("7,", n-1) + "7]" }},
		"lobster": {
			func(r io.Reader) ([]Numbered, []Fault, error) { return b.lobster(r, nil, "AAPL") },
			func(n int) string { return strings.Repeat("34200.1,5,0,1,1,1\n", n) },
		},
		"opening book": {
			func(r io.Reader) ([]Numbered, []Fault, error) { return b.lobster(strings.NewReader("x"), r, "AAPL") },
			func(int) string { return "1000000,1,990000,1" },
		},
	}
}

func TestFilesAreBoundedInSize(t *testing.T) {
	t.Parallel()
	for name, r := range readers(bounds{bytes: 10_000, rows: 10}) {
		_, _, err := r.read(endless{})
		if err == nil || !strings.HasSuffix(err.Error(), "the file is larger than 10000 bytes") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestFilesAreBoundedInRows(t *testing.T) {
	t.Parallel()
	for name, r := range readers(bounds{bytes: 10_000, rows: 10}) {
		if _, _, err := r.read(strings.NewReader(r.rows(10))); err != nil {
			t.Errorf("%s of 10 rows: %v", name, err)
		}
		orders, faults, err := r.read(strings.NewReader(r.rows(11)))
		if name == "opening book" {
			continue // only its first row counts
		}
		if err == nil || err.Error() != "the file has more than 10 rows" || orders != nil || faults != nil {
			t.Errorf("%s of 11 rows: got %v", name, err)
		}
	}
}
