package input

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What a file may be. A row is a line of a CSV file or an element of a JSON array; blank lines are no rows.
const (
	MaxBytes    = 64 << 20
	MaxRows     = 100_000
	MaxRow      = 64 << 10 // bytes
	MaxChannels = 16       // of a row
)

// Place is where a row stands.
type Place struct {
	Line   int // where it begins, counted from 1 with the header; 0 for the built-in sample
	Number int // its place in a JSON array or in the sample, counted from 1; 0 in a CSV file
}

// String says where: "line 7", "line 7, request 3" or "request 3".
func (p Place) String() string {
	switch {
	case p.Number == 0:
		return fmt.Sprintf("line %d", p.Line)
	case p.Line == 0:
		return fmt.Sprintf("request %d", p.Number)
	default:
		return fmt.Sprintf("line %d, request %d", p.Line, p.Number)
	}
}

// Fault is a row that was refused.
type Fault struct {
	Place

	Reason string
}

// String says where and why: "line 7: …".
func (f Fault) String() string { return f.Place.String() + ": " + f.Reason }

// bounds are the limits of a whole file; tests have smaller ones than MaxBytes and MaxRows.
type bounds struct{ bytes, rows int }

var limits = bounds{MaxBytes, MaxRows}

func (b bounds) tooMany() error { return fmt.Errorf("the file has more than %d rows", b.rows) }

// content reads a whole file of bounded size and takes off the byte order mark that spreadsheets put before it.
func (b bounds) content(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, int64(b.bytes)+1))
	if err != nil {
		return nil, err
	}
	if len(data) > b.bytes {
		return nil, fmt.Errorf("the file is larger than %d bytes", b.bytes)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("the file is empty")
	}
	return data, nil
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

// textFault says what a value may not contain: control characters end in terminals, keys and databases. A message may have lines.
func textFault(field, text string) error {
	isControl := func(r rune) bool {
		return unicode.IsControl(r) && (field != "message" || !strings.ContainsRune("\n\r\t", r))
	}
	if strings.ContainsFunc(text, isControl) {
		return fmt.Errorf("%s %.60q contains a control character", field, text)
	}
	return nil
}
