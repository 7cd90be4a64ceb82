package eventstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/google/uuid"
)

// Upcaster reads events of an old schema as events of a newer one. Upcasters form chains: what one makes,
// the next one reads. Stored events never change.
type Upcaster struct {
	Type string   // the stored type
	From int      // its schema version. Defaults to every version
	Into []string // the types that Up makes. Defaults to Type alone

	// Up turns a payload into zero or more. If it fails, whoever handles the event fails.
	Up func(old Raw) ([]Raw, error)
}

// Raw is a payload as JSON.
type Raw struct {
	Type   string
	Schema int // its schema version; 0 means 1
	Data   json.RawMessage
}

// Bounds of what one stored event may lead to, so that a chain which leads back to itself ends.
const (
	maxUpcasts     = 100    // in a chain, and made in the end
	maxUpcastCalls = 10_000 // in all
)

// Upcast rewrites the JSON of one schema version into the next.
func Upcast(typ string, from int, up func(old json.RawMessage) (json.RawMessage, error)) Upcaster {
	return Upcaster{Type: typ, From: from, Up: func(old Raw) ([]Raw, error) {
		data, err := up(old.Data)
		return []Raw{{typ, from + 1, data}}, err
	}}
}

// UpcastFields rewrites the fields of a JSON object in place. Numbers are json.Number, so they stay exact.
func UpcastFields(typ string, from int, up func(fields map[string]any) error) Upcaster {
	return Upcast(typ, from, func(old json.RawMessage) (json.RawMessage, error) {
		d := json.NewDecoder(bytes.NewReader(old))
		d.UseNumber()
		var fields map[string]any
		if err := d.Decode(&fields); err != nil {
			return nil, err
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return nil, errors.New("more than one JSON value")
		}
		if fields == nil {
			fields = map[string]any{}
		}
		if err := up(fields); err != nil {
			return nil, err
		}
		return json.Marshal(fields)
	})
}

// UpcastAs is Upcast for an old shape that still has a struct. New names the type; a New that cannot be a
// payload is a fault of Config.
func UpcastAs[Old any, New Payload](from int, up func(old Old) New) Upcaster {
	name, fault := TypeOf[New]()
	if fault != nil {
		return Upcaster{}
	}
	return Upcast(name, from, func(data json.RawMessage) (json.RawMessage, error) {
		var old Old
		if err := json.Unmarshal(data, &old); err != nil {
			return nil, err
		}
		return json.Marshal(up(old))
	})
}

// Rename reads events of a former name, of every schema version.
func Rename(from, to string) Upcaster {
	return Upcaster{Type: from, Into: []string{to}, Up: func(old Raw) ([]Raw, error) {
		return []Raw{{to, old.Schema, old.Data}}, nil
	}}
}

// upcasts are the upcasters of a store. A nil *upcasts changes nothing.
type upcasts struct {
	by      map[schemaKey]Upcaster
	sources map[string][]string // a type, and every stored type that may become it
	targets map[string][]string // a stored type, and every type it may become
}

type schemaKey struct {
	typ    string
	schema int // 0: every
}

func newUpcasts(list []Upcaster) (*upcasts, error) {
	if len(list) == 0 {
		return nil, nil
	}
	u := &upcasts{by: map[schemaKey]Upcaster{}, sources: map[string][]string{}, targets: map[string][]string{}}
	var errs []error
	for i, c := range list {
		if len(c.Into) == 0 {
			c.Into = []string{c.Type}
		}
		key := schemaKey{c.Type, c.From}
		field := fmt.Sprintf("upcaster %d: ", i+1)
		for _, t := range append([]string{c.Type}, c.Into...) {
			errs = append(errs, checkName(field+"type", t))
		}
		if c.Up == nil {
			errs = append(errs, invalid(field+"Up", "is missing"))
		}
		if c.From < 0 {
			errs = append(errs, invalid(field+"From", "is negative"))
		}
		if _, twice := u.by[key]; twice {
			errs = append(errs, invalid(field+"type", "%s schema %d has two upcasters", c.Type, c.From))
		}
		if c.From == 0 && slices.Contains(c.Into, c.Type) {
			errs = append(errs, invalid(field+"From", "is missing: %s of every schema would become itself", c.Type))
		}
		u.by[key] = c
	}
	u.relate()
	return u, errors.Join(errs...)
}

// relate follows each stored type to all that it may become.
func (u *upcasts) relate() {
	into := map[string][]string{}
	for k, c := range u.by {
		into[k.typ] = append(into[k.typ], c.Into...)
	}
	for from := range into {
		reached := []string{from}
		for i := 0; i < len(reached); i++ {
			for _, t := range into[reached[i]] {
				if !slices.Contains(reached, t) {
					reached = append(reached, t)
				}
			}
		}
		slices.Sort(reached)
		u.targets[from] = reached
		for _, t := range reached {
			if t != from {
				u.sources[t] = append(u.sources[t], from)
			}
		}
	}
}

// reads reports whether events of a type and schema version are read as something else.
func (u *upcasts) reads(typ string, schema int) bool {
	if u == nil {
		return false
	}
	_, one := u.by[schemaKey{typ, schema}]
	_, every := u.by[schemaKey{typ, 0}]
	return one || every
}

// expand adds to a query's types every stored type that may become one of them.
func (u *upcasts) expand(q Query) Query {
	if u == nil {
		return q
	}
	items := cloneItems(q.items)
	for i := range items {
		for _, t := range items[i].Types {
			items[i].Types = append(items[i].Types, u.sources[t]...)
		}
		slices.Sort(items[i].Types)
		items[i].Types = slices.Compact(items[i].Types)
	}
	return Query{items}
}

// each yields what a stored event is read as, as far as q selects it. An event that an upcaster fails on is
// yielded as every type it might have become: whoever handles it gets the fault from Decode.
func (u *upcasts) each(e Event, q Query, yield func(Event, error) bool) bool {
	if u == nil || u.targets[e.Type] == nil {
		return yield(e, nil)
	}
	calls := 0
	parts, err := u.apply(Raw{e.Type, e.Metadata.schema(), e.Data}, 0, &calls)
	if err != nil {
		parts = nil
		for _, t := range u.targets[e.Type] {
			parts = append(parts, Raw{t, e.Metadata.Schema, e.Data})
		}
	}
	for i, raw := range parts {
		part := e
		part.Type, part.Data, part.Metadata.Schema = raw.Type, raw.Data, raw.Schema
		if err != nil {
			part.codec = unreadable{err}
		}
		if part.Part = i; i > 0 {
			part.ID = uuid.NewSHA1(e.ID, fmt.Appendf(nil, "part %d", i))
		}
		part = part.Clone() // parts share what e has, and an upcaster may keep what it made
		if q.Matches(&part) && !yield(part, nil) {
			return false
		}
	}
	return true
}

// apply upcasts one payload as far as the chain goes. It counts calls of upcasters.
func (u *upcasts) apply(r Raw, depth int, calls *int) (parts []Raw, err error) {
	c, ok := u.by[schemaKey{r.Type, r.Schema}]
	if !ok {
		if c, ok = u.by[schemaKey{r.Type, 0}]; !ok {
			return []Raw{r}, nil
		}
	}
	if *calls++; depth == maxUpcasts || *calls > maxUpcastCalls {
		return nil, fmt.Errorf("upcast %s schema %d: the chain does not end", r.Type, r.Schema)
	}
	made, err := c.run(r)
	if err != nil {
		return nil, fmt.Errorf("upcast %s schema %d: %w", r.Type, r.Schema, err)
	}
	for _, m := range made {
		m.Schema = max(m.Schema, 1)
		if !slices.Contains(c.Into, m.Type) {
			return nil, fmt.Errorf("upcast %s schema %d: makes %s, which Into does not name", r.Type, r.Schema, m.Type)
		}
		if !json.Valid(m.Data) {
			return nil, fmt.Errorf("upcast %s schema %d: makes %s that is not JSON", r.Type, r.Schema, m.Type)
		}
		more, err := u.apply(m, depth+1, calls)
		if err != nil {
			return nil, err
		}
		if parts = append(parts, more...); len(parts) > maxUpcasts {
			return nil, fmt.Errorf("upcast %s schema %d: makes more than %d events", r.Type, r.Schema, maxUpcasts)
		}
	}
	return parts, nil
}

// run calls the user's function, on a copy, and takes a panic for a failure.
func (c *Upcaster) run(r Raw) (made []Raw, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	r.Data = slices.Clone(r.Data)
	return c.Up(r)
}
