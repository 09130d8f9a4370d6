// Package keytext turns keys of any type into text, and makes the names of keys in a store.
//
// [Codec] has the text of a K. It is the last segment of a key in a store, and in memory it
// identifies a key whose == does not do: a time.Time, a TextMarshaler, one with fields that do not
// count, and every key with WithKey. [Names] has the keys of one loader in a store: those of its
// entries, of its tags, and of its tag epoch (see package tag).
//
// Both are formats that outlive the program: keys in users' stores are made of them. They are
// injective, and stable over processes, builds and versions of Go. The package imports nothing
// of this module.
//
// New builds Codec.Text from the type K by reflection, ByHand from the function of WithKey.
// escape.go escapes texts, and Names.Entry joins the parts of a key.
package keytext

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"strconv"
	"time"
	"unsafe"
)

// A Codec turns a K into its canonical text.
//
// The text is made of the key's leaves, in order, joined with ','. A leaf is a bool, an integer, a
// float, a string, a time.Time (its instant, without zone and monotonic reading), or the text of an
// [encoding.TextMarshaler]. The leaves of an array or a struct are those of its elements or fields,
// unexported ones included. Only blank fields, which == ignores too, and fields tagged `key:"-"`
// are left out. Leaves are escaped as [Escape] says; in arrays and structs ',' is escaped as well.
// K fixes how many leaves there are. So two keys with one text are equal, except in what is left
// out, and in what a time or a TextMarshaler takes to be the same.
//
// The texts are in users' stores. A change to any of them needs a new version of the key format.
type Codec[K comparable] struct {
	// Plain => for all a, b that have a text: a == b exactly if their texts are equal; and a
	// key that equals itself has a text. Memory may then be keyed by K itself.
	Plain bool

	// byHand => the texts are the user's own, and are not escaped: see Segment.
	byHand bool

	// Text is never nil in a codec made without error, and is safe for concurrent use. It
	// fails for a key that holds a NaN, and with the error of a TextMarshaler. A TextMarshaler
	// and a function given to ByHand may also panic.
	Text func(key K) (string, error)
}

// ByHand returns a codec whose texts are made by text.
func ByHand[K comparable](text func(K) string) Codec[K] {
	c := Codec[K]{byHand: true, Text: func(key K) (string, error) { return text(key), nil }}
	return c.checked()
}

// checked returns c with a Text that fails for keys that cannot be compared. A K that holds an
// interface is comparable for the compiler, but a key of it may hold a slice, say. No map takes it.
func (c Codec[K]) checked() Codec[K] {
	if !holdsInterface(reflect.TypeFor[K]()) {
		return c
	}
	text := c.Text
	c.Text = func(key K) (string, error) {
		if v := reflect.ValueOf(&key).Elem(); !v.Comparable() {
			return "", fmt.Errorf("the key has a part of a type that cannot be compared: %T", key)
		}
		return text(key)
	}
	return c
}

// holdsInterface reports whether a value of type t may hold an interface that == looks at.
func holdsInterface(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Array:
		return holdsInterface(t.Elem())
	case reflect.Struct:
		for f := range t.Fields() {
			if holdsInterface(f.Type) {
				return true
			}
		}
	}
	return false
}

// Segment returns text, which Text has returned, as the last segment of a store's key.
func (c Codec[K]) Segment(text string) string {
	if c.byHand {
		return Escape(text)
	}
	return text
}

// New returns the codec of K, or an error that names every part of K
// that has no text.
func New[K comparable]() (Codec[K], error) {
	t := reflect.TypeFor[K]()
	b := builder{root: t, plain: true}
	appendText, err := b.build(t, "")
	if err != nil {
		return Codec[K]{}, err
	}
	codec := Codec[K]{Plain: b.plain}
	switch kind := t.Kind(); {
	case b.plain && kind == reflect.String:
		codec.Text = func(key K) (string, error) {
			return Escape(*(*string)(unsafe.Pointer(&key))), nil
		}
	case b.plain && isIntKind(kind):
		codec.Text = func(key K) (string, error) {
			return strconv.FormatInt(intAt(unsafe.Pointer(&key), unsafe.Sizeof(key)), 10), nil
		}
	case b.plain && isUintKind(kind):
		codec.Text = func(key K) (string, error) {
			return strconv.FormatUint(uintAt(unsafe.Pointer(&key), unsafe.Sizeof(key)), 10), nil
		}
	default:
		codec.Text = func(key K) (string, error) {
			text, err := appendText(make([]byte, 0, 64), unsafe.Pointer(&key))
			if err != nil {
				return "", err
			}
			return string(text[:max(len(text)-1, 0)]), nil // without the last leaf's ','
		}
	}
	return codec.checked(), nil
}

// An appender appends the leaves of the value at p to dst, each followed by a
// ','. That a leaf brings its own ',' lets a part without leaves add nothing.
type appender func(dst []byte, p unsafe.Pointer) ([]byte, error)

// A builder builds the encoder of one key type. Reflection is done with when
// it is built, but for the interface value of a TextMarshaler.
type builder struct {
	root  reflect.Type
	plain bool // no part so far whose text and == disagree
}

// build returns the encoder of the part of type t at path: "" for the key
// itself, ".Field" and "[i]" appended for what is inside it.
func (b *builder) build(t reflect.Type, path string) (appender, error) {
	inner := path != ""
	kind := t.Kind()
	switch {
	case t == reflect.TypeFor[time.Time]():
		// Not by its MarshalText, which carries the zone and knows only the
		// years up to 9999.
		b.plain = false
		return appendTimeText, nil
	case kind == reflect.Pointer || kind == reflect.Interface || kind == reflect.Chan || kind == reflect.UnsafePointer:
		// Before TextMarshaler: nil has no method to ask, and two pointers to
		// equal values are different keys with one text.
		return nil, b.unsupported(t, path)
	case marshalsText(t):
		b.plain = false
		return marshalerText(t, inner, b.part(path)), nil
	case isIntKind(kind):
		size := t.Size()
		return func(dst []byte, p unsafe.Pointer) ([]byte, error) {
			return append(strconv.AppendInt(dst, intAt(p, size), 10), ','), nil
		}, nil
	case isUintKind(kind):
		size := t.Size()
		return func(dst []byte, p unsafe.Pointer) ([]byte, error) {
			return append(strconv.AppendUint(dst, uintAt(p, size), 10), ','), nil
		}, nil
	}
	switch kind {
	case reflect.Bool:
		return func(dst []byte, p unsafe.Pointer) ([]byte, error) {
			return append(strconv.AppendBool(dst, *(*bool)(p)), ','), nil
		}, nil
	case reflect.Float32, reflect.Float64:
		return floatText(kind, b.part(path)), nil
	case reflect.String:
		return func(dst []byte, p unsafe.Pointer) ([]byte, error) {
			return append(appendEscaped(dst, *(*string)(p), inner), ','), nil
		}, nil
	case reflect.Array:
		return b.buildArray(t, path)
	case reflect.Struct:
		return b.buildStruct(t, path)
	default:
		return nil, b.unsupported(t, path)
	}
}

func (b *builder) buildArray(t reflect.Type, path string) (appender, error) {
	n, size := t.Len(), t.Elem().Size()
	if n == 0 {
		// All values are equal and have no leaf, whatever the elements would be.
		return func(dst []byte, _ unsafe.Pointer) ([]byte, error) { return dst, nil }, nil
	}
	elem, err := b.build(t.Elem(), path+"[i]")
	if err != nil {
		return nil, err
	}
	return func(dst []byte, p unsafe.Pointer) (_ []byte, err error) {
		for i := range n {
			if dst, err = elem(dst, unsafe.Add(p, uintptr(i)*size)); err != nil {
				return nil, err
			}
		}
		return dst, nil
	}, nil
}

func (b *builder) buildStruct(t reflect.Type, path string) (appender, error) {
	type field struct {
		offset     uintptr
		appendText appender
	}
	var fields []field
	var errs []error
	for f := range t.Fields() {
		at := path + "." + f.Name
		tag, tagged := f.Tag.Lookup("key")
		switch {
		case tagged && tag != "-":
			errs = append(errs, fmt.Errorf("%s has the tag key:%q; the only one there is, key:\"-\", leaves a field out", b.part(at), tag))
			continue
		case f.Name == "_":
			continue
		case tagged:
			b.plain = false
			continue
		}
		appendText, err := b.build(f.Type, at)
		if err != nil {
			errs = append(errs, err)
		}
		fields = append(fields, field{f.Offset, appendText})
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return func(dst []byte, p unsafe.Pointer) (_ []byte, err error) {
		for _, f := range fields {
			if dst, err = f.appendText(dst, unsafe.Add(p, f.offset)); err != nil {
				return nil, err
			}
		}
		return dst, nil
	}, nil
}

// unsupported returns the error for a part that cannot have a text.
func (b *builder) unsupported(t reflect.Type, path string) error {
	what := "of kind " + t.Kind().String()
	switch t.Kind() {
	case reflect.Pointer:
		what = "a pointer"
	case reflect.Interface:
		what = "an interface"
	case reflect.Chan:
		what = "a channel"
	case reflect.Complex64, reflect.Complex128:
		what = "a complex number"
	case reflect.UnsafePointer:
		what = "an unsafe.Pointer"
	}
	remedy := "use WithKey"
	if path != "" {
		remedy += `, or leave it out with the tag key:"-"`
	}
	return fmt.Errorf("%s is %s (%s), for which there is no stable text: %s", b.part(path), what, t, remedy)
}

// part names the part of the key at path.
func (b *builder) part(path string) string {
	switch {
	case path == "":
		return fmt.Sprintf("a key of type %s", b.root)
	case path[0] == '.':
		return fmt.Sprintf("field %s of type %s", path[1:], b.root)
	default:
		return fmt.Sprintf("element %s of type %s", path, b.root)
	}
}

// appendTimeText writes seconds since 1970, rounded down, and any nanoseconds after
// a '.', always nine digits: half a second before 1970 is "-1.500000000".
// Seconds, unlike a date, are one to one over all that a Time can hold.
func appendTimeText(dst []byte, p unsafe.Pointer) ([]byte, error) {
	t := *(*time.Time)(p)
	dst = strconv.AppendInt(dst, t.Unix(), 10)
	if ns := t.Nanosecond(); ns != 0 {
		i := len(dst)
		dst = strconv.AppendInt(dst, int64(1e9+ns), 10)
		dst[i] = '.' // of ten digits, the leading 1
	}
	return append(dst, ','), nil
}

// floatText returns the encoder of floats: the shortest decimal that reads back
// as the same float, so that -0, which equals 0, must be made one with it.
func floatText(kind reflect.Kind, part string) appender {
	return func(dst []byte, p unsafe.Pointer) ([]byte, error) {
		var f float64
		bits := 64
		if kind == reflect.Float32 {
			f, bits = float64(*(*float32)(p)), 32
		} else {
			f = *(*float64)(p)
		}
		if math.IsNaN(f) {
			return nil, fmt.Errorf("%s is NaN, which equals no key, not even itself", part)
		}
		if f == 0 {
			f = 0
		}
		return append(strconv.AppendFloat(dst, f, 'g', -1, bits), ','), nil
	}
}

// marshalerText returns the encoder of a TextMarshaler t. It asks through a
// pointer, whose methods include those of the value, and NewAt gives one to an
// unexported field too. The key is the encoder's own copy: a method that
// changes its receiver changes nobody's key.
func marshalerText(t reflect.Type, inner bool, part string) appender {
	return func(dst []byte, p unsafe.Pointer) ([]byte, error) {
		text, err := reflect.NewAt(t, p).Interface().(encoding.TextMarshaler).MarshalText()
		if err != nil {
			return nil, fmt.Errorf("%s: MarshalText: %w", part, err)
		}
		return append(appendEscaped(dst, string(text), inner), ','), nil
	}
}

// marshalsText reports whether t, or a pointer to it, is a TextMarshaler by a
// method of its own.
//
// A MarshalText that a struct inherits from an embedded field does not count:
// it would leave the other fields out of the key without a word, and give a
// struct that embeds a time.Time its zone. Such a struct is its fields.
func marshalsText(t reflect.Type) bool {
	if !isTextMarshaler(t) {
		return false
	}
	if t.Kind() == reflect.Struct {
		for f := range t.Fields() {
			if f.Anonymous && isTextMarshaler(f.Type) {
				return declaresMarshalText(t)
			}
		}
	}
	return true
}

func isTextMarshaler(t reflect.Type) bool {
	marshaler := reflect.TypeFor[encoding.TextMarshaler]()
	return t.Implements(marshaler) || reflect.PointerTo(t).Implements(marshaler)
}

// declaresMarshalText tells a method written for t from one promoted to it.
// Reflection knows no difference, but a promoted method is reached through a
// wrapper of the compiler's that comes from no file. What cannot be told is
// taken as promoted: to encode all fields is safe.
func declaresMarshalText(t reflect.Type) bool {
	// The value's method first: a pointer has a wrapper for that one too. The
	// name is a constant, so that the linker still drops methods nobody calls.
	method, ok := t.MethodByName("MarshalText")
	if !ok {
		method, _ = reflect.PointerTo(t).MethodByName("MarshalText")
	}
	pc := method.Func.Pointer()
	f := runtime.FuncForPC(pc)
	if f == nil {
		return false
	}
	file, _ := f.FileLine(pc)
	return file != "" && file != "?" && file != "<autogenerated>"
}

func isIntKind(kind reflect.Kind) bool  { return reflect.Int <= kind && kind <= reflect.Int64 }
func isUintKind(kind reflect.Kind) bool { return reflect.Uint <= kind && kind <= reflect.Uintptr }

func intAt(p unsafe.Pointer, size uintptr) int64 {
	switch size {
	case 1:
		return int64(*(*int8)(p))
	case 2:
		return int64(*(*int16)(p))
	case 4:
		return int64(*(*int32)(p))
	default:
		return *(*int64)(p)
	}
}

func uintAt(p unsafe.Pointer, size uintptr) uint64 {
	switch size {
	case 1:
		return uint64(*(*uint8)(p))
	case 2:
		return uint64(*(*uint16)(p))
	case 4:
		return uint64(*(*uint32)(p))
	default:
		return *(*uint64)(p)
	}
}
