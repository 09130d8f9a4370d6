package zodiac

import (
	stdjson "encoding/json"
	"fmt"
	"reflect"

	"github.com/goccy/go-json"
)

// A Codec turns the values of a loader into bytes for its [Store], and back. [JSON] is the default; packages under codec/ have
// others.
//
// A Codec is safe for concurrent use. Its methods run under the loader's guard: a panic is like an error.
type Codec interface {
	// Name returns what the codec is called in the records it wrote: always the same, of 1 to 32 letters, digits, '-', '_',
	// '.' and '+'. A record that a codec of another name wrote is a miss, so a codec that cannot read any more what it
	// once wrote needs a new name.
	Name() string

	// Marshal returns the value that v points to as bytes, which the caller may keep and change. Others may be reading the
	// value. An error means that it cannot be stored: callers get it all the same, and the [Observer] a *[CodecError].
	//
	// The value is no nil pointer and no nil interface: those are stored without the codec. A nil slice or map is to come back
	// as nil, an empty one as empty.
	Marshal(v any) ([]byte, error)

	// Unmarshal stores in v, a pointer of the type that Marshal was given, what Marshal has made data of. The value there is a
	// fresh zero one, and thrown away if Unmarshal fails: then the record is corrupt, which is a miss. data belongs to the store:
	// it must neither be changed nor be part of the value.
	Unmarshal(data []byte, v any) error
}

// JSON is the codec that loaders have by default: encoding/json's format, by goccy/go-json.
//
// All comes back that encoding/json brings back, nil and empty slices and maps apart from each other, and a pointer to
// something nil as such. What does not:
//
//   - unexported fields, and those tagged `json:"-"`, are left out without a word;
//   - a string that is not valid UTF-8 has U+FFFD where it is not: use []byte;
//   - a time.Time loses its monotonic reading and the name of its zone, and has a year from 0 to 9999;
//   - an interface that is not empty cannot be decoded; what is in an any becomes a map[string]any, []any, float64, string, bool
//     or nil, so that integers above 2⁵³ lose digits;
//   - NaN, infinities, complex numbers, channels, functions, values that contain themselves, and more than 10,000 levels are
//     errors of Marshal.
//
// The text of one value is always the same, and characters of HTML are not escaped.
var JSON Codec = jsonCodec{}

const jsonName = "json"

type jsonCodec struct{}

var jsonOptions = []json.EncodeOptionFunc{json.DisableHTMLEscape()}

func (jsonCodec) Name() string { return jsonName }

func (jsonCodec) Marshal(v any) ([]byte, error) { return json.MarshalWithOption(v, jsonOptions...) }

func (jsonCodec) Unmarshal(data []byte, v any) error {
	if string(data) == "null" {
		v = behindNull(v)
	}
	if json.Unmarshal(data, v) == nil {
		return nil
	}
	// goccy/go-json refuses a few values that it encodes itself: as of v0.12.0 the largest float32. encoding/json has the
	// last word.
	if p := reflect.ValueOf(v); p.Kind() == reflect.Pointer && !p.IsNil() {
		p.Elem().SetZero()
	}
	return stdjson.Unmarshal(data, v)
}

// behindNull returns what to decode null into where v is due. JSON writes a nil pointer and a pointer to a nil slice alike;
// the value that v points to is no nil pointer, so if it is a pointer, it is one to something nil.
func behindNull(v any) any {
	p := reflect.ValueOf(v)
	if p.Kind() != reflect.Pointer || p.IsNil() || p.Type().Elem().Kind() != reflect.Pointer {
		return v
	}
	fresh := reflect.New(p.Type().Elem().Elem())
	p.Elem().Set(fresh)
	return fresh.Interface()
}

// maxCodecName is how long the name of a Codec may be.
const maxCodecName = 32

// checkCodecName returns what is wrong with the name of a Codec.
func checkCodecName(name string) error {
	if name == "" || len(name) > maxCodecName {
		return fmt.Errorf("the codec's name %q has not 1 to %d bytes", name, maxCodecName)
	}
	for _, r := range name {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '_', r == '.', r == '+':
		default:
			return fmt.Errorf("the codec's name %q has a %q; it may have letters, digits, '-', '_', '.' and '+'", name, r)
		}
	}
	return nil
}

// A CodecError says that a value could not be encoded, so that it is not stored, or that what is stored could not be decoded,
// which is a miss. The [Observer] is told.
type CodecError struct {
	Loader string // the name of the loader
	Op     string // "Marshal" or "Unmarshal"
	Codec  string // the name of the codec
	Err    error  // what the codec returned, or a *PanicError
}

func (e *CodecError) Error() string {
	return fmt.Sprintf("zodiac: loader %q: %s of codec %s: %v (%s)", e.Loader, e.Op, e.Codec, e.Err, e.remedy())
}

func (e *CodecError) remedy() string {
	if e.Op == "Unmarshal" {
		return "a miss; if the type of the values has changed, change WithVersion too"
	}
	return "not stored; change the type of the values, or give WithCodec another codec"
}

func (e *CodecError) Unwrap() error { return e.Err }
