package input

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/necrostack/necrostack/examples/trading/market"
)

// What a file may be. A row is a line of a CSV file or an element of a JSON array; blank lines are no rows.
const (
	MaxBytes = 64 << 20
	MaxRows  = 1_000_000
	MaxRow   = 4 << 10 // bytes
)

// Numbered is an order with the line it begins on, counted from 1 with the header. Orders that come from no row have line 0.
type Numbered struct {
	Line    int
	Unnamed bool // the input gives the order no id: it is called after its place
	Order   market.OrderSubmitted
	ID      uuid.UUID // fit for the id of an event: see Sign
}

// Fault is a row that was refused.
type Fault struct {
	Line    int // where the row begins, counted from 1 with the header
	Element int // its place in the array, counted from 1; 0 where there is none
	Reason  string
}

// String says where and why: "line 7: …" or "line 7, element 3: …".
func (f Fault) String() string {
	if f.Element > 0 {
		return fmt.Sprintf("line %d, element %d: %s", f.Line, f.Element, f.Reason)
	}
	return fmt.Sprintf("line %d: %s", f.Line, f.Reason)
}

var errEmpty = errors.New("the file is empty")

// bounds are the limits of a whole file; tests have smaller ones than MaxBytes and MaxRows.
type bounds struct{ bytes, rows int }

func (b bounds) tooMany() error { return fmt.Errorf("the file has more than %d rows", b.rows) }

// content reads a whole file of bounded size and takes off the byte order mark that spreadsheets put before it.
func (b bounds) content(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, int64(b.bytes)+1))
	if err != nil {
		return nil, fmt.Errorf("read orders: %w", err)
	}
	if len(data) > b.bytes {
		return nil, fmt.Errorf("the file is larger than %d bytes", b.bytes)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errEmpty
	}
	return data, nil
}

// lines yields the lines that are not blank, with their number, without LF or CRLF.
func lines(data []byte) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		number := 0
		for line := range bytes.Lines(data) {
			number++
			line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
			if len(bytes.TrimSpace(line)) > 0 && !yield(number, string(line)) {
				return
			}
		}
	}
}

// rowFault says what makes a row's text unreadable, before anything looks into it.
func rowFault(row string) error {
	switch {
	case len(row) > MaxRow:
		return fmt.Errorf("is longer than %d bytes", MaxRow)
	case !utf8.ValidString(row):
		return errors.New("is not valid UTF-8")
	}
	return nil
}

// textFault says what a value may not contain: control characters end in terminals, keys and databases.
func textFault(text string) error {
	if strings.ContainsFunc(text, unicode.IsControl) {
		return fmt.Errorf("%q contains a control character", text)
	}
	return nil
}
