package zodiac

import (
	"fmt"

	"github.com/goccy/go-json"
)

// A Codec turns values into bytes for a [Store] and back. [JSON] is the default; packages under codec/ have others.
//
// A Codec is safe for concurrent use.
type Codec interface {
	// Name returns what the codec is called in the records it wrote: 1 to 32 letters, digits, '-', '_', '.' and '+', always
	// the same. A record of a codec of another name is a miss. So a codec that writes what it could not read before needs
	// a new name.
	Name() string

	// Marshal returns v as bytes, which the caller may keep and change. If it fails or panics, v cannot be stored: callers get
	// the value all the same, and the [Observer] a *[CodecError].
	Marshal(v any) ([]byte, error)

	// Unmarshal stores what Marshal has made data from in v, a pointer to a fresh zero value, which is thrown away if it fails or
	// panics: then the record is corrupt, which is a miss. It neither changes data nor keeps any of it.
	Unmarshal(data []byte, v any) error
}

// JSON is the codec that loaders have by default.
var JSON Codec = jsonCodec{}

const jsonName = "json"

type jsonCodec struct{}

func (jsonCodec) Name() string                       { return jsonName }
func (jsonCodec) Marshal(v any) ([]byte, error)      { return json.Marshal(v) }
func (jsonCodec) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

// A CodecError says that a value could not be encoded, so that it is not stored, or that a stored one could not be decoded,
// so that it counts as absent. The [Observer] is told; callers never get it from Get.
type CodecError struct {
	Loader string // the name of the loader
	Op     string // "Marshal" or "Unmarshal"
	Codec  string // the name of the codec
	Err    error  // what the codec said, or a *PanicError
}

func (e *CodecError) Error() string {
	if e.Op == "Unmarshal" {
		return fmt.Sprintf("zodiac: loader %q: codec %s cannot decode a stored value, which counts as absent "+
			"(if the type of the values has changed, give WithVersion a new version): %v", e.Loader, e.Codec, e.Err)
	}
	return fmt.Sprintf("zodiac: loader %q: codec %s cannot encode the value, which is not stored "+
		"(change its type, or give WithCodec another codec): %v", e.Loader, e.Codec, e.Err)
}

func (e *CodecError) Unwrap() error { return e.Err }
