// Package jsoncodec encodes values as encoding/json does, by goccy/go-json. It tells a nil slice or
// map from an empty one, also behind a pointer.
package jsoncodec

import (
	stdjson "encoding/json"
	"reflect"

	"github.com/goccy/go-json"
)

// Name is the codec's name in records.
const Name = "json"

// Codec is a zodiac.Codec.
type Codec struct{}

var options = []json.EncodeOptionFunc{json.DisableHTMLEscape()}

// Name returns Name.
func (Codec) Name() string { return Name }

// Marshal returns the JSON of v. Characters of HTML are not escaped.
func (Codec) Marshal(v any) ([]byte, error) { return json.MarshalWithOption(v, options...) }

// Unmarshal stores in v the value whose JSON is data.
func (Codec) Unmarshal(data []byte, v any) error {
	if string(data) == "null" {
		v = behindNull(v)
	}
	if json.Unmarshal(data, v) == nil {
		return nil
	}
	// goccy/go-json refuses a few values that it encodes itself: as of v0.12.0 the largest float32.
	// encoding/json decides.
	if p := reflect.ValueOf(v); p.Kind() == reflect.Pointer && !p.IsNil() {
		p.Elem().SetZero()
	}
	return stdjson.Unmarshal(data, v)
}

// behindNull returns what null is decoded into where a value is decoded into v. JSON writes a nil
// pointer and a pointer to a nil slice alike. The value that v points to is no nil pointer, so if it
// is a pointer, it points to something nil.
func behindNull(v any) any {
	p := reflect.ValueOf(v)
	if p.Kind() != reflect.Pointer || p.IsNil() || p.Type().Elem().Kind() != reflect.Pointer {
		return v
	}
	fresh := reflect.New(p.Type().Elem().Elem())
	p.Elem().Set(fresh)
	return fresh.Interface()
}
