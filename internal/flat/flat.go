// Package flat reports whether assigning a value of a type copies all of it.
package flat

import (
	"reflect"
	"time"
)

// Is reports whether an assignment copies everything that a value of type t holds, or the rest
// never changes.
func Is(t reflect.Type) bool {
	switch kind := t.Kind(); {
	case t == reflect.TypeFor[time.Time](): // its *Location never changes
		return true
	case kind == reflect.Array:
		return Is(t.Elem())
	case kind == reflect.Struct:
		for field := range t.Fields() {
			if !Is(field.Type) {
				return false
			}
		}
		return true
	default:
		return reflect.Bool <= kind && kind <= reflect.Complex128 || kind == reflect.String
	}
}
