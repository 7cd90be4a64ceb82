package input

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// csv reads a file of requests.
func (b bounds) csv(data []byte) (rows []Row, faults []Fault, err error) {
	columns := []string{"user_id", "channels", "message", "priority"}
	faults, err = b.table(data, columns, func(line int, values map[string]string) error {
		f := fields{user: values["user_id"], message: values["message"], priority: values["priority"]}
		if strings.TrimSpace(values["channels"]) != "" {
			f.channels = strings.Split(values["channels"], "|")
		}
		q, err := f.request()
		if err == nil {
			rows = append(rows, Row{Place: Place{Line: line}, Request: q})
		}
		return err
	})
	return rows, faults, err
}

// table reads a CSV file with a header that names exactly these columns, in any order, and calls row for each line that is not blank. A
// row that cannot be read, or with which row finds fault, is a Fault; err refuses the whole file.
func (b bounds) table(data []byte, columns []string, row func(line int, values map[string]string) error) (faults []Fault, err error) {
	var header []string
	line, rows := 0, 0
	for raw := range bytes.Lines(data) {
		line++
		text := strings.TrimRight(string(raw), "\r\n")
		if strings.TrimSpace(text) == "" {
			continue
		}
		values, err := split(text)
		if header == nil {
			if header, err = names(values, columns, err); err != nil {
				return nil, fmt.Errorf("line %d: the header %w", line, err)
			}
			continue
		}
		if rows++; rows > b.rows {
			return nil, b.tooMany()
		}
		if err == nil && len(values) != len(header) {
			err = fmt.Errorf("has %d fields where the header has %d (a value with a comma needs quotes)", len(values), len(header))
		}
		if err != nil {
			err = fmt.Errorf("the row %w", err)
		} else {
			byName := make(map[string]string, len(header))
			for i, name := range header {
				byName[name] = values[i]
			}
			err = row(line, byName)
		}
		if err != nil {
			faults = append(faults, Fault{Place{Line: line}, err.Error()})
		}
	}
	return faults, nil
}

// split splits a line at its commas.
func split(line string) ([]string, error) {
	if err := rowFault(line); err != nil {
		return nil, err
	}
	r := csv.NewReader(strings.NewReader(line))
	values, err := r.Read()
	if p, ok := errors.AsType[*csv.ParseError](err); ok {
		return nil, fmt.Errorf("has a quote that is not doubled, or not closed on its line, at column %d", p.Column)
	}
	return values, err
}

// names makes of the header's values the names of the columns, or says everything that is wrong with them.
func names(values, columns []string, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	var errs []error
	for i, name := range values {
		name = strings.ToLower(strings.TrimSpace(name))
		switch {
		case !slices.Contains(columns, name):
			errs = append(errs, fmt.Errorf("has the unknown column %.60q", name))
		case slices.Contains(values[:i], name):
			errs = append(errs, fmt.Errorf("names %s twice", name))
		}
		values[i] = name
	}
	for _, name := range columns {
		if !slices.Contains(values, name) {
			errs = append(errs, fmt.Errorf("lacks the column %s", name))
		}
	}
	return values, joined(errs)
}
