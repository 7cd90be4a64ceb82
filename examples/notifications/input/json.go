package input

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// json reads a file of requests. Where the text stops being JSON the rest cannot be read, which is a fault, and what came before stands.
func (b bounds) json(data []byte) ([]Row, []Fault, error) {
	d := document{bounds: b, data: data, dec: json.NewDecoder(bytes.NewReader(data)), line: 1}
	switch first, err := d.dec.Token(); {
	case err != nil:
		return nil, nil, fmt.Errorf("line %d: %w", d.here(), ended(err))
	case first != json.Delim('{'):
		return nil, nil, errors.New(`the file is not an object such as {"notifications": [ … ]}`)
	}
	err := d.object()
	if refused, ok := errors.AsType[refusedError](err); ok {
		return nil, nil, refused
	}
	if err != nil {
		d.fault(d.here(), 0, fmt.Errorf("the rest cannot be read: %w", ended(err)))
	} else if _, err := d.dec.Token(); !errors.Is(err, io.EOF) {
		d.fault(d.here(), 0, errors.New("data after the end of the object"))
	}
	return d.rows, d.faults, nil
}

func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the file ends in the middle")
	}
	return err
}

// refusedError is a refusal of the whole file.
type refusedError struct{ reason string }

func (e refusedError) Error() string { return e.reason }

// document is a JSON file that is being read.
type document struct {
	bounds

	data   []byte
	dec    *json.Decoder
	line   int   // of offset
	offset int64 // up to where lines are counted
	number int   // of the array's element, from 1
	found  bool  // there were notifications
	rows   []Row
	faults []Fault
}

// object reads the fields of the outermost object, and its closing brace.
func (d *document) object() error {
	for d.dec.More() {
		name, err := d.dec.Token()
		if err != nil {
			return err
		}
		if line := d.here(); name != "notifications" || d.found {
			d.fault(line, 0, fmt.Errorf("the field %.60q is unknown or repeated", name))
			if err := d.dec.Decode(new(json.RawMessage)); err != nil {
				return err
			}
			continue
		}
		open, err := d.dec.Token()
		if err != nil {
			return err
		}
		if open != json.Delim('[') {
			return refusedError{"the field notifications is not an array"}
		}
		if err := d.array(); err != nil {
			return err
		}
	}
	if _, err := d.dec.Token(); err != nil {
		return err
	}
	if !d.found {
		return refusedError{"the object has no field notifications"}
	}
	return nil
}

// array reads the elements after the opening bracket, and the closing one.
func (d *document) array() error {
	d.found = true
	for d.dec.More() {
		if d.number++; d.number > d.bounds.rows {
			return refusedError{d.tooMany().Error()}
		}
		line := d.here()
		var raw json.RawMessage
		if err := d.dec.Decode(&raw); err != nil {
			return err
		}
		f, err := element(raw)
		if err != nil {
			d.fault(line, d.number, err)
			continue
		}
		q, err := f.request()
		if err != nil {
			d.fault(line, d.number, err)
			continue
		}
		d.rows = append(d.rows, Row{Place: Place{Line: line, Number: d.number}, Request: q})
	}
	_, err := d.dec.Token()
	return err
}

func (d *document) fault(line, number int, err error) {
	d.faults = append(d.faults, Fault{Place{Line: line, Number: number}, err.Error()})
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

// element reads one element: an object of known fields, each given once.
func element(raw []byte) (f fields, err error) {
	if err := rowFault(string(raw)); err != nil {
		return f, fmt.Errorf("the request %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return f, errors.New("the request is not an object")
	}
	into := map[string]any{"user_id": &f.user, "channels": &f.channels, "message": &f.message, "priority": &f.priority}
	seen := map[string]bool{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return f, err
		}
		name := fmt.Sprint(token)
		switch {
		case into[name] == nil:
			return f, fmt.Errorf("the field %.60q is unknown", name)
		case seen[name]:
			return f, fmt.Errorf("the field %s is given twice", name)
		}
		seen[name] = true
		if err := dec.Decode(into[name]); err != nil {
			if name == "channels" {
				return f, errors.New("the field channels is not an array of strings")
			}
			return f, fmt.Errorf("the field %s is not a string", name)
		}
	}
	return f, nil
}
