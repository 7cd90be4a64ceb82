package input

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// CSV reads orders with a header line. It names, in any order, the columns trader_id, symbol, side, order_type, quantity and price,
// and may name order_id and action. Fields may be quoted as in RFC 4180, but none goes over a line's end, so that one lost quote
// spoils one row only. An order without an id is called line-N after its line. A missing, unknown or repeated column refuses the file.
func CSV(r io.Reader) ([]Numbered, []Fault, error) {
	return bounds{MaxBytes, MaxRows}.csv(r)
}

func (b bounds) csv(r io.Reader) ([]Numbered, []Fault, error) {
	data, err := b.content(r)
	if err != nil {
		return nil, nil, err
	}
	var (
		header []string
		orders []Numbered
		faults []Fault
	)
	for line, text := range lines(data) {
		switch {
		case header == nil:
			if header, err = columns(text); err != nil {
				return nil, nil, fmt.Errorf("line %d: the header %w", line, err)
			}
			continue
		case len(orders)+len(faults) == b.rows:
			return nil, nil, b.tooMany()
		}
		fields, err := csvFields(text, header)
		if err != nil {
			faults = append(faults, Fault{Line: line, Reason: err.Error()})
			continue
		}
		o, err := order(fields, line, fmt.Sprintf("line-%d", line))
		if err != nil {
			faults = append(faults, Fault{Line: line, Reason: err.Error()})
			continue
		}
		orders = append(orders, o)
	}
	return orders, faults, nil
}

// columns reads the header and names everything that is wrong with it.
func columns(text string) ([]string, error) {
	if err := rowFault(text); err != nil {
		return nil, err
	}
	names, err := splitCSV(text)
	if err != nil {
		return nil, err
	}
	var faults []string
	for i, name := range names {
		name = strings.ToLower(strings.TrimSpace(name))
		switch {
		case !isField(name):
			faults = append(faults, fmt.Sprintf("has the unknown column %q", name))
		case slices.Contains(names[:i], name):
			faults = append(faults, fmt.Sprintf("names %s twice", name))
		}
		names[i] = name
	}
	for _, name := range required {
		if !slices.Contains(names, name) {
			faults = append(faults, "lacks the column "+name)
		}
	}
	if len(faults) > 0 {
		return nil, errors.New(strings.Join(faults, ", "))
	}
	return names, nil
}

// csvFields reads one row by the header's names.
func csvFields(text string, header []string) (map[string]string, error) {
	if err := rowFault(text); err != nil {
		return nil, fmt.Errorf("the row %w", err)
	}
	values, err := splitCSV(text)
	if err != nil {
		return nil, err
	}
	if len(values) != len(header) {
		return nil, fmt.Errorf("%d fields where the header has %d", len(values), len(header))
	}
	fields := make(map[string]string, len(header))
	for i, name := range header {
		fields[name] = values[i]
	}
	return fields, nil
}

// splitCSV splits one line at its commas, as RFC 4180 quotes them.
func splitCSV(line string) ([]string, error) {
	var fields []string
	for {
		field, rest, more := strings.Cut(line, ",")
		if strings.HasPrefix(line, `"`) {
			var err error
			if field, rest, more, err = unquote(line); err != nil {
				return nil, err
			}
		} else if strings.Contains(field, `"`) {
			return nil, errors.New("a quote within a field that does not begin with one")
		}
		fields = append(fields, field)
		if !more {
			return fields, nil
		}
		line = rest
	}
}

// unquote takes a quoted field from the beginning of a line; a quote within it is doubled.
func unquote(line string) (field, rest string, more bool, err error) {
	var b strings.Builder
	line = line[1:]
	for {
		part, after, ok := strings.Cut(line, `"`)
		b.WriteString(part)
		switch {
		case !ok:
			return "", "", false, errors.New("a quoted field does not end on its line")
		case after == "":
			return b.String(), "", false, nil
		case after[0] == ',':
			return b.String(), after[1:], true, nil
		case after[0] != '"':
			return "", "", false, errors.New("text after a quoted field")
		}
		b.WriteByte('"')
		line = after[1:]
	}
}
