package input

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// JSON reads orders from an array, or from an object whose field orders is one. An element has the fields of a CSV row; quantity and
// price are numbers or strings and never pass through a float; null is as good as absent. A new order without an id is called
// element-N after its place in the array, counted from 1. An element with unknown, repeated or nested fields is a fault; where the
// text stops being JSON the rest cannot be read, which is a fault too, and what came before stands.
func JSON(r io.Reader) ([]Numbered, []Fault, error) {
	return bounds{MaxBytes, MaxRows}.json(r)
}

func (b bounds) json(r io.Reader) ([]Numbered, []Fault, error) {
	data, err := b.content(r)
	if err != nil {
		return nil, nil, err
	}
	d := document{bounds: b, data: data, dec: json.NewDecoder(bytes.NewReader(data)), line: 1}
	switch first, err := d.dec.Token(); {
	case err != nil:
		return nil, nil, fmt.Errorf("line %d: %w", d.here(), err)
	case first == json.Delim('['):
		err = d.array()
		return d.result(err)
	case first == json.Delim('{'):
		err = d.object()
		return d.result(err)
	default:
		return nil, nil, errors.New("neither an array of orders nor an object with one")
	}
}

// document is a JSON file that is being read.
type document struct {
	bounds
	data    []byte
	dec     *json.Decoder
	line    int   // of offset
	offset  int64 // up to where lines are counted
	element int   // of the array, from 1
	found   bool  // there were orders
	orders  []Numbered
	faults  []Fault
}

// refusedError is a refusal of the whole file.
type refusedError struct{ reason string }

func (e refusedError) Error() string { return e.reason }

// result is what JSON returns, once everything readable was read: err is why it stopped before the end.
func (d *document) result(err error) ([]Numbered, []Fault, error) {
	if refused, ok := errors.AsType[refusedError](err); ok {
		return nil, nil, refused
	}
	if err == nil {
		if _, err := d.dec.Token(); !errors.Is(err, io.EOF) {
			d.fault(d.here(), 0, "data after the end of the orders")
		}
		return d.orders, d.faults, nil
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the file ends in the middle")
	}
	d.fault(d.here(), 0, "the rest cannot be read: "+err.Error())
	return d.orders, d.faults, nil
}

// object reads {"orders": […]} after its brace.
func (d *document) object() error {
	for d.dec.More() {
		name, err := d.dec.Token()
		if err != nil {
			return err
		}
		line := d.here()
		if name == "orders" && !d.found {
			open, err := d.dec.Token()
			if err != nil {
				return err
			}
			if open != json.Delim('[') {
				return refusedError{"the field orders is not an array"}
			}
			if err := d.array(); err != nil {
				return err
			}
			continue
		}
		d.fault(line, 0, fmt.Sprintf("the field %q is unknown or repeated", name))
		if err := d.dec.Decode(new(json.RawMessage)); err != nil {
			return err
		}
	}
	if _, err := d.dec.Token(); err != nil {
		return err
	}
	if !d.found {
		return refusedError{"the object has no field orders"}
	}
	return nil
}

// array reads the elements after the opening bracket, and the closing one.
func (d *document) array() error {
	d.found = true
	for d.dec.More() {
		if d.element++; d.element > d.rows {
			return refusedError{d.tooMany().Error()}
		}
		line := d.here()
		var raw json.RawMessage
		if err := d.dec.Decode(&raw); err != nil {
			return err
		}
		fields, err := jsonFields(raw)
		if err != nil {
			d.fault(line, d.element, err.Error())
			continue
		}
		o, err := order(fields, line, fmt.Sprintf("element-%d", d.element))
		if err != nil {
			d.fault(line, d.element, err.Error())
			continue
		}
		d.orders = append(d.orders, o)
	}
	_, err := d.dec.Token()
	return err
}

func (d *document) fault(line, element int, reason string) {
	d.faults = append(d.faults, Fault{Line: line, Element: element, Reason: reason})
}

// here is the line of what comes next after the decoder's position: the decoder stops before white space and commas.
func (d *document) here() int {
	at := min(d.dec.InputOffset(), int64(len(d.data)))
	for at < int64(len(d.data)) && strings.IndexByte(" \t\r\n,:", d.data[at]) >= 0 {
		at++
	}
	if at > d.offset {
		d.line += bytes.Count(d.data[d.offset:at], []byte("\n"))
		d.offset = at
	}
	return d.line
}

// jsonFields reads one element: an object of known fields, each a string, a number or null.
func jsonFields(raw []byte) (map[string]string, error) {
	if err := rowFault(string(raw)); err != nil {
		return nil, fmt.Errorf("the order %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("not an object")
	}
	fields := map[string]string{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name := fmt.Sprint(token)
		if !isField(name) {
			return nil, fmt.Errorf("the field %q is unknown", name)
		}
		if _, ok := fields[name]; ok {
			return nil, fmt.Errorf("the field %s is given twice", name)
		}
		value, err := dec.Token()
		if err != nil {
			return nil, err
		}
		switch v := value.(type) {
		case string:
			fields[name] = v
		case json.Number:
			fields[name] = v.String()
		case nil:
			fields[name] = ""
		default:
			return nil, fmt.Errorf("the field %s is neither a string nor a number", name)
		}
	}
	return fields, nil
}
