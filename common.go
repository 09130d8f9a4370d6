package zodiac

import (
	"reflect"
	"sync"
	"time"
)

// A sharingOf is a sharing with what depends on the type of values.
type sharingOf[V any] struct {
	sharing
	common *common[V] // nil if everybody decodes a copy of his own
}

// A common is the value that all who share a flight get, decoded by the first of them. It is for values of a flat type: they cannot
// be changed by one for another.
type common[V any] struct {
	once  sync.Once
	value V
	err   error
}

// commonCopy returns the value of those who share a flight. If a codec ends the goroutine of the one who decodes, that is the error of
// the others.
func (c *engine[K, V]) commonCopy(w *common[V], decode func(*V) error) (V, error) {
	w.once.Do(func() {
		gone := &PanicError{Goexit: true, In: "WithCodec", Loader: c.name}
		w.err = &CodecError{Loader: c.name, Op: "Unmarshal", Codec: c.remote.codec.Name(), Err: gone}
		w.err = decode(&w.value)
	})
	return w.value, w.err
}

// isFlat reports whether an assignment copies all that a value of type t holds, or the rest never changes.
func isFlat(t reflect.Type) bool {
	switch kind := t.Kind(); {
	case t == reflect.TypeFor[time.Time](): // whose *Location never changes
		return true
	case kind == reflect.Array:
		return isFlat(t.Elem())
	case kind == reflect.Struct:
		for field := range t.Fields() {
			if !isFlat(field.Type) {
				return false
			}
		}
		return true
	default:
		return reflect.Bool <= kind && kind <= reflect.Complex128 || kind == reflect.String
	}
}
