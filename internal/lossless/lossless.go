// Package lossless turns states into JSON for snapshots, and refuses those that would not come back as they were.
package lossless

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// Faults reports, all at once, what JSON loses for certain of the values of a type; nil if nothing.
func Faults[S any]() error {
	t := reflect.TypeFor[S]()
	c := checker{seen: map[reflect.Type]bool{}}
	c.visit(t, t.String())
	return errors.Join(c.faults...)
}

// Encode returns the JSON of a state that survives it, or an error that says what does not.
func Encode[S any](state *S) (data json.RawMessage, err error) {
	t := reflect.TypeFor[S]()
	defer func() {
		if p := recover(); p != nil {
			data, err = nil, fmt.Errorf("snapshot of %s: panic: %v", t, p)
		}
	}()
	if data, err = json.Marshal(state); err != nil {
		return nil, fmt.Errorf("snapshot of %s: %w", t, err)
	}
	back, err := Decode[S](data)
	if err != nil {
		return nil, fmt.Errorf("snapshot of %s: %w", t, err)
	}
	if !reflect.DeepEqual(*state, back) {
		where := difference(reflect.ValueOf(state).Elem(), reflect.ValueOf(&back).Elem(), t.String())
		return nil, fmt.Errorf("snapshot of %s: JSON does not keep it: %s", t, where)
	}
	return data, nil
}

// Decode reads what Encode has returned. A panic of the type's own code is an error, as in Encode.
func Decode[S any](data json.RawMessage) (state S, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	err = json.Unmarshal(data, &state)
	return state, err
}

// checker finds what JSON loses for certain of the values of a type.
type checker struct {
	seen   map[reflect.Type]bool
	faults []error
}

func (c *checker) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Errorf(format, args...))
}

// visit looks at a type that stands at a path.
func (c *checker) visit(t reflect.Type, path string) {
	if c.seen[t] || writesItself(t) {
		return
	}
	c.seen[t] = true
	switch t.Kind() {
	case reflect.Struct:
		for f := range t.Fields() {
			c.field(f, path+"."+f.Name)
		}
	case reflect.Pointer, reflect.Slice, reflect.Array:
		c.visit(t.Elem(), path)
	case reflect.Map:
		if k := t.Key(); !isText(k.Kind()) && !writesItself(k) {
			c.fault("snapshot: %s has keys of type %s, which JSON cannot hold", path, k)
		}
		c.visit(t.Elem(), path)
	case reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Complex64, reflect.Complex128:
		c.fault("snapshot: %s is a %s, which JSON cannot hold", path, t)
	}
}

func (c *checker) field(f reflect.StructField, path string) {
	switch {
	case f.Name == "_":
	case f.Anonymous && !f.IsExported() && f.Type.Kind() == reflect.Struct: // JSON sees the exported fields in it
		c.visit(f.Type, path)
	case !f.IsExported():
		c.fault("snapshot: %s is unexported, so JSON loses it", path)
	case f.Tag.Get("json") == "-":
		c.fault(`snapshot: %s has the tag json:"-", so JSON loses it`, path)
	default:
		c.visit(f.Type, path)
	}
}

// isText reports whether values of a kind can be the names in a JSON object.
func isText(k reflect.Kind) bool {
	return k == reflect.String || reflect.Int <= k && k <= reflect.Uintptr
}

// writesItself reports whether a type has its own way into JSON, or text, and back.
func writesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[json.Marshaler]()) && p.Implements(reflect.TypeFor[json.Unmarshaler]()) ||
		p.Implements(reflect.TypeFor[encoding.TextMarshaler]()) && p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// difference says where two values of one type, which are not equal, first differ.
func difference(was, is reflect.Value, path string) string {
	if !writesItself(was.Type()) {
		switch was.Kind() {
		case reflect.Struct:
			for i := range was.NumField() {
				if f := was.Type().Field(i); f.IsExported() && !same(was.Field(i), is.Field(i)) {
					return difference(was.Field(i), is.Field(i), path+"."+f.Name)
				}
			}
		case reflect.Slice, reflect.Array:
			for i := range min(was.Len(), is.Len()) {
				if !same(was.Index(i), is.Index(i)) {
					return difference(was.Index(i), is.Index(i), fmt.Sprintf("%s[%d]", path, i))
				}
			}
		case reflect.Map:
			for _, k := range was.MapKeys() {
				if v := is.MapIndex(k); v.IsValid() && !same(was.MapIndex(k), v) {
					return difference(was.MapIndex(k), v, fmt.Sprintf("%s[%v]", path, k))
				}
			}
		case reflect.Pointer:
			if !was.IsNil() && !is.IsNil() {
				return difference(was.Elem(), is.Elem(), path)
			}
		}
	}
	return fmt.Sprintf("%s was %#v and is %#v", path, was, is)
}

func same(a, b reflect.Value) bool { return reflect.DeepEqual(a.Interface(), b.Interface()) }
