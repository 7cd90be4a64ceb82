package input

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
)

// Requests reads requests as CSV or JSON, whichever the file's name ends in; with any other name the file is JSON if its first
// character is a brace or a bracket, else CSV.
//
// CSV has a header that names the columns user_id, channels, message and priority, in any order; channels are joined by "|". Fields may
// be quoted as in RFC 4180, but none goes over a line's end, so that one lost quote spoils one row only. JSON is an object whose field
// notifications is an array of objects with these fields, of which channels is an array of strings; null is as good as absent. Spaces
// around values are not part of them.
func Requests(name string, r io.Reader) ([]Row, []Fault, error) { return limits.requests(name, r) }

func (b bounds) requests(name string, r io.Reader) (rows []Row, faults []Fault, err error) {
	data, err := b.content(r)
	if err != nil {
		return nil, nil, err
	}
	if isJSON(name, data) {
		rows, faults, err = b.json(data)
	} else {
		rows, faults, err = b.csv(data)
	}
	if err != nil {
		return nil, nil, err
	}
	identify(name, rows)
	return rows, faults, nil
}

func isJSON(name string, data []byte) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".json":
		return true
	case ".csv":
		return false
	}
	first := bytes.TrimSpace(data)[0]
	return first == '{' || first == '['
}
