// Package shape has fingerprints of types.
//
// A record in a store outlives the program that has written it. A release that reads it may have
// renamed a field of its value, and would get half of it without an error. The fingerprint shows
// that the type has changed. It is the same in every build, process and architecture. It is in users'
// stores: if it changes, all of their records are misses once.
package shape

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
)

// A Fingerprint tells types of different shapes apart. It is never 0.
type Fingerprint uint64

// Of returns the fingerprint of t: of its kind, and recursively of what it is made of. Of a struct
// that is the name, tag and type of each exported field, in order, and of the fields that an embedded
// struct promotes. Names of types do not count, except that a type which is opaque counts by its
// name alone. A type is opaque if it encodes itself by methods that the codec of the values uses.
func Of(t reflect.Type, opaque func(reflect.Type) bool) Fingerprint {
	w := writer{opaque: opaque, seen: make(map[reflect.Type]int)}
	w.add(t)
	sum := sha256.Sum256(w.text)
	return max(1, Fingerprint(binary.LittleEndian.Uint64(sum[:])))
}

// A writer writes a text that describes a type. Types of one text have one shape.
type writer struct {
	text   []byte
	opaque func(reflect.Type) bool
	seen   map[reflect.Type]int // named types by the order in which they came
}

func (w *writer) add(t reflect.Type) {
	kind := t.Kind()
	switch {
	case w.opaque(t):
		w.word("opaque")
		w.quoted(nameOf(t))
		return
	case t.Name() != "" && kind >= reflect.Array && kind != reflect.String && kind != reflect.UnsafePointer:
		// The type may contain itself.
		if n, ok := w.seen[t]; ok {
			w.word("again")
			w.word(strconv.Itoa(n))
			return
		}
		w.seen[t] = len(w.seen)
	}
	w.word(kind.String())
	switch kind {
	case reflect.Struct:
		w.fields(t)
	case reflect.Array:
		w.word(strconv.Itoa(t.Len()))
		w.add(t.Elem())
	case reflect.Pointer, reflect.Slice, reflect.Chan:
		w.add(t.Elem())
	case reflect.Map:
		w.add(t.Key())
		w.add(t.Elem())
	case reflect.Interface:
		w.methods(t)
	}
}

// fields writes the fields of a struct that a codec can see.
func (w *writer) fields(t reflect.Type) {
	w.word("{")
	for f := range t.Fields() {
		if !f.IsExported() && !promotes(f) {
			continue
		}
		if f.IsExported() {
			w.quoted(f.Name)
		}
		w.quoted(string(f.Tag))
		if f.Anonymous {
			w.word("embedded")
		}
		w.add(f.Type)
	}
	w.word("}")
}

// promotes reports whether an unexported field may have exported fields that a codec takes for fields
// of the struct around it.
func promotes(f reflect.StructField) bool {
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return f.Anonymous && t.Kind() == reflect.Struct
}

// methods writes the names of an interface's methods, which reflect sorts. Those that are not
// exported are of no use to a codec.
func (w *writer) methods(t reflect.Type) {
	for m := range t.Methods() {
		if m.IsExported() {
			w.quoted(m.Name)
		}
	}
}

// nameOf returns the name of a type with the path of its package.
func nameOf(t reflect.Type) string {
	if t.Name() == "" { // a struct without a name, which embeds a type with methods
		return t.String()
	}
	return t.PkgPath() + "." + t.Name()
}

func (w *writer) word(s string)   { w.text = append(append(w.text, s...), ' ') }
func (w *writer) quoted(s string) { w.text = append(strconv.AppendQuote(w.text, s), ' ') }

var (
	byJSON = []reflect.Type{
		reflect.TypeFor[json.Marshaler](), reflect.TypeFor[json.Unmarshaler](),
		reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler](),
	}
	byAny = append([]reflect.Type{
		reflect.TypeFor[encoding.BinaryMarshaler](), reflect.TypeFor[encoding.BinaryUnmarshaler](),
		reflect.TypeFor[interface{ GobEncode() ([]byte, error) }](), reflect.TypeFor[interface{ GobDecode([]byte) error }](),
	}, byJSON...)
)

// OpaqueToJSON reports whether t encodes or decodes itself as JSON.
func OpaqueToJSON(t reflect.Type) bool { return has(t, byJSON) }

// Opaque reports whether t encodes or decodes itself by methods that the standard library knows. It
// is for codecs of which nothing is known.
func Opaque(t reflect.Type) bool { return has(t, byAny) }

// has reports whether t, or a pointer to it, has the methods of one of the interfaces. An interface
// has nothing by itself: what is in it decides.
func has(t reflect.Type, interfaces []reflect.Type) bool {
	if t.Name() == "" && t.Kind() != reflect.Struct || t.Kind() == reflect.Interface {
		return false
	}
	return slices.ContainsFunc(interfaces, reflect.PointerTo(t).Implements)
}
