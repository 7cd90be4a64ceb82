package input

import (
	"bufio"
	"bytes"
	"io"
	"path/filepath"
	"strings"
)

// Orders reads orders as CSV or JSON, whichever the file's name ends in; any other name is JSON when its content begins with a
// bracket or a brace, else CSV.
func Orders(name string, r io.Reader) ([]Numbered, []Fault, error) {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".json":
		return JSON(r)
	case ".csv":
		return CSV(r)
	}
	b := bufio.NewReaderSize(r, MaxRow)
	start, _ := b.Peek(MaxRow) // what cannot be read is reported by who reads it all
	start = bytes.TrimSpace(bytes.TrimPrefix(start, []byte("\ufeff")))
	if len(start) > 0 && (start[0] == '[' || start[0] == '{') {
		return JSON(b)
	}
	return CSV(b)
}
