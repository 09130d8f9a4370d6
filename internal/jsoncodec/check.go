package jsoncodec

import (
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/zodiac-go/zodiac/internal/shape"
)

// Check returns an error if JSON would lose a part of a value of type t, or could never encode or
// decode one. It names the part. A type that encodes itself is its own business, and so is what an
// interface within t holds.
func (Codec) Check(t reflect.Type) error {
	if t.Kind() == reflect.Interface && t.NumMethod() > 0 {
		return fmt.Errorf("JSON can encode a value of type %v but not decode it; give WithCodec a codec that can, or use a concrete type", t)
	}
	c := checker{make(map[reflect.Type]bool), make(map[reflect.Type]bool)}
	return c.check(t, t.String())
}

// A checker looks at each type once, and at an embedded one once for each struct around it.
type checker struct{ seen, inside map[reflect.Type]bool }

// check returns what JSON loses of the part of a value that path leads to.
func (c *checker) check(t reflect.Type, path string) error {
	if c.seen[t] || shape.OpaqueToJSON(t) || isLock(t) {
		return nil
	}
	c.seen[t] = true
	switch t.Kind() {
	case reflect.Struct:
		return c.checkFields(t, path, make(map[string]string))
	case reflect.Pointer:
		return c.check(t.Elem(), path)
	case reflect.Slice, reflect.Array:
		return c.check(t.Elem(), path+"[]")
	case reflect.Map:
		if !isKey(t.Key()) {
			return fmt.Errorf("%s has keys of type %v, which JSON cannot encode; %s", path, t.Key(), remedy)
		}
		return c.check(t.Elem(), path+"[]")
	case reflect.Func, reflect.Chan, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		return fmt.Errorf("%s is a %v, which JSON cannot encode; %s", path, t.Kind(), remedy)
	default:
		return nil
	}
}

const remedy = "give its type MarshalJSON and UnmarshalJSON, tag the field `json:\"-\"` if it may be lost, or give WithCodec another codec"

// checkFields looks at the fields of a struct. names has those that came before: JSON takes fields of
// an embedded struct for fields of the struct around it.
func (c *checker) checkFields(t reflect.Type, path string, names map[string]string) error {
	for f := range t.Fields() {
		at := path + "." + f.Name
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Tag.Get("json") == "-", f.Name == "_", !f.IsExported() && isLock(f.Type):
			continue
		case !f.IsExported() && (!f.Anonymous || f.Type.Kind() != reflect.Struct):
			if f.Type.Size() > 0 {
				return fmt.Errorf("%s is not exported, so JSON leaves it out; export it, or %s", at, remedy)
			}
			continue
		case f.Anonymous && name == "" && isStruct(f.Type):
			if err := c.checkEmbedded(f.Type, at, names); err != nil {
				return err
			}
			continue
		}
		if name == "" {
			name = f.Name
		}
		if other, ok := names[name]; ok {
			return fmt.Errorf("%s and %s are both %q in JSON, which leaves one out; %s", other, at, name, remedy)
		}
		names[name] = at
		if err := c.check(f.Type, at); err != nil {
			return err
		}
	}
	return nil
}

// checkEmbedded is checkFields of an embedded struct. That it encodes itself does not count: JSON
// does not ask it to.
func (c *checker) checkEmbedded(t reflect.Type, path string, names map[string]string) error {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if c.inside[t] {
		return nil
	}
	c.inside[t] = true
	defer delete(c.inside, t)
	return c.checkFields(t, path, names)
}

func isStruct(t reflect.Type) bool {
	return t.Kind() == reflect.Struct || t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct
}

// isKey reports whether JSON can encode a map with keys of type t.
func isKey(t reflect.Type) bool {
	switch kind := t.Kind(); kind {
	case reflect.String:
		return true
	default:
		return reflect.Int <= kind && kind <= reflect.Uintptr || shape.OpaqueToJSON(t)
	}
}

// isLock reports whether t is a lock, which has nothing to be stored.
func isLock(t reflect.Type) bool {
	return t == reflect.TypeFor[sync.Mutex]() || t == reflect.TypeFor[sync.RWMutex]()
}
