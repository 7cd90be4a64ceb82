// Package plaintype tells types whose values share nothing.
package plaintype

import (
	"reflect"
	"sync"
	"time"
)

var known sync.Map // of bool by reflect.Type

// Is reports whether copies of a value of a type share nothing that can be changed: it holds no pointer, slice, map, channel,
// function or interface. A time.Time passes, for nobody can follow its pointer.
func Is(t reflect.Type) bool {
	if plain, ok := known.Load(t); ok {
		return plain.(bool) //nolint:forcetypeassert // nothing else is put there
	}
	plain := find(t)
	known.Store(t, plain)
	return plain
}

func find(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Struct:
		for f := range t.Fields() {
			if !find(f.Type) && f.Type != reflect.TypeFor[time.Time]() {
				return false
			}
		}
		return true
	case reflect.Array:
		return find(t.Elem())
	case reflect.Chan, reflect.Func, reflect.Interface, reflect.Map, reflect.Pointer, reflect.Slice, reflect.UnsafePointer:
		return false
	default:
		return true
	}
}
