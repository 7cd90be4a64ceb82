package organs

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/necrostack/necrostack/eventstore"
)

// faultOf reports all that stands against snapshots of S, if they are wanted.
func faultOf[S any](s Snapshot, b eventstore.Backend) error {
	if s.Every < 0 || s.Version < 0 {
		return fmt.Errorf("snapshot: Every is %d and Version is %d: they must not be negative", s.Every, s.Version)
	}
	if s.Every == 0 {
		return nil
	}
	t := reflect.TypeFor[S]()
	l := lossless{seen: map[reflect.Type]bool{}}
	l.visit(t, t.String())
	if _, ok := b.(eventstore.Snapshotter); !ok {
		l.fault("snapshot: backend %T keeps no snapshots", b)
	}
	return errors.Join(l.faults...)
}

// lossless finds what JSON loses for certain of the values of a type.
type lossless struct {
	seen   map[reflect.Type]bool
	faults []error
}

func (l *lossless) fault(format string, args ...any) {
	l.faults = append(l.faults, fmt.Errorf(format, args...))
}

// visit looks at a type that stands at a path.
func (l *lossless) visit(t reflect.Type, path string) {
	if l.seen[t] || writesItself(t) {
		return
	}
	l.seen[t] = true
	switch t.Kind() {
	case reflect.Struct:
		for f := range t.Fields() {
			l.field(f, path+"."+f.Name)
		}
	case reflect.Pointer, reflect.Slice, reflect.Array:
		l.visit(t.Elem(), path)
	case reflect.Map:
		if k := t.Key(); !isText(k.Kind()) && !writesItself(k) {
			l.fault("snapshot: %s has keys of type %s, which JSON cannot hold", path, k)
		}
		l.visit(t.Elem(), path)
	case reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Complex64, reflect.Complex128:
		l.fault("snapshot: %s is a %s, which JSON cannot hold", path, t)
	}
}

func (l *lossless) field(f reflect.StructField, path string) {
	switch {
	case f.Name == "_":
	case f.Anonymous && !f.IsExported() && f.Type.Kind() == reflect.Struct: // JSON sees the exported fields in it
		l.visit(f.Type, path)
	case !f.IsExported():
		l.fault("snapshot: %s is unexported, so JSON loses it", path)
	case f.Tag.Get("json") == "-":
		l.fault(`snapshot: %s has the tag json:"-", so JSON loses it`, path)
	default:
		l.visit(f.Type, path)
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
