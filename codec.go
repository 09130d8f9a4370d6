package zodiac

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/zodiac-go/zodiac/internal/flight"
	"github.com/zodiac-go/zodiac/internal/jsoncodec"
	"github.com/zodiac-go/zodiac/internal/record"
	"github.com/zodiac-go/zodiac/internal/release"
	"github.com/zodiac-go/zodiac/internal/remote"
	"github.com/zodiac-go/zodiac/internal/shape"
	"github.com/zodiac-go/zodiac/internal/tag"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// A Codec turns the values of a loader into bytes for its [Store], and back. [JSON] is the default.
//
// A Codec is safe for concurrent use. A panic of its methods is treated as an error.
type Codec interface {
	// Name returns the codec's name in the records it has written. It is always the same, of 1 to
	// 32 letters, digits, '-', '_', '.' and '+'. A record of a codec with another name is a miss.
	// So a codec that can no longer read its old records needs a new name.
	Name() string

	// Marshal returns the value that v points to as bytes, which the caller may keep and change.
	// Others may be reading the value. An error means that the value cannot be stored: callers get
	// it all the same, as if there were no store, and the [Observer] gets a [*CodecError]. Those who
	// waited for one fetch then share the value, unless there is [WithClone].
	//
	// The value is no nil pointer and no nil interface, which are stored without the codec. A nil
	// slice or map should come back as nil, and an empty one as empty.
	Marshal(v any) ([]byte, error)

	// Unmarshal stores in v the value that Marshal has made data of. v points to a fresh zero value
	// of the type that Marshal was given. If Unmarshal fails, the value is thrown away, and the
	// record is corrupt, which is a miss; callers who have waited for its fetch share the fetched
	// value, as if Marshal had failed. data belongs to the store: it must not be changed, and
	// must not become a part of the value.
	Unmarshal(data []byte, v any) error
}

// A CodecChecker is a [Codec] that looks at the type of a loader's values before it gets one. Without
// it, a Loader finds out from each value whether it can be stored, and nobody finds out that a part
// of one is missing when it comes back.
type CodecChecker interface {
	Codec

	// Check returns an error if a part of a value of type t would not come back. It is called
	// once, by the constructor of a Loader or Cache over a store, and its error is one of the
	// constructor's. It should name the part, and say what to do.
	Check(t reflect.Type) error
}

// JSON is the codec that loaders have by default: the format of encoding/json, by goccy/go-json.
//
// Everything comes back that encoding/json brings back. Nil and empty slices and maps stay apart,
// also behind a pointer.
//
// JSON is a [CodecChecker]. It refuses a type in which there is, at any depth, an unexported field, a
// channel, function, complex number or unsafe pointer, a map whose keys have no text, or two fields of
// one name, as when a field hides one of an embedded struct. A type with MarshalJSON, UnmarshalJSON,
// MarshalText or UnmarshalText is its own business, such as time.Time and big.Int. A field tagged
// `json:"-"`, exported or not, may be lost, and so may a sync.Mutex or RWMutex.
//
// These do not come back, and are no error of a constructor:
//
//   - in a string that is not valid UTF-8 the invalid bytes become U+FFFD: use []byte;
//   - a time.Time loses its monotonic reading and the name of its zone, and has a year from 0 to
//     9999;
//   - an interface with methods cannot be decoded; the value of an any becomes a map[string]any,
//     []any, float64, string, bool or nil, so integers above 2⁵³ lose digits;
//   - NaN, infinities, values that contain themselves, and more than 10,000 levels are errors of
//     Marshal.
//
// The text of a value is always the same. Characters of HTML are not escaped.
var JSON Codec = jsoncodec.Codec{}

// originOf returns what the records of a loader say of its values and of itself.
func originOf(codec Codec, value reflect.Type) record.Origin {
	opaque := shape.Opaque
	if codec == JSON {
		opaque = shape.OpaqueToJSON
	}
	return record.Origin{Shape: uint64(shape.Of(value, opaque)), Release: release.Now()}
}

// maxCodecName is the longest name that a Codec may have.
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

// A CodecError says that a value could not be encoded, so that it is not stored, or that a record
// could not be decoded, which is a miss. The [Observer] is told.
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

// encodeResult makes the record of a fetch's result. It is for the store, and for the callers who
// share the result, each of whom decodes a copy.
func (c *engine[K, V]) encodeResult(f *flight.Flight[tier.Key[K], job[K, V]]) {
	r, s := &f.Job.result, f.Job.stored
	var tags []record.Tag
	if r.verdict == store && !s.fetch.Aside {
		tags = remote.BlankTags(tag.Names(r.tags))
	}
	rec, err := c.encode(s.full, r.entry.Created, &r.entry.Value, r.none, c.opts.life.slide(r.life), tags)
	s.rec, s.copies = rec, err == nil || errors.Is(err, ErrTooLarge)
	if err != nil && r.verdict == store {
		s.fetch.Fault, r.verdict, r.fault = err, unfit, err
	}
}

// encode makes the record of a value, or of a None if none is not nil. The error is a *CodecError,
// or matches ErrTooLarge.
func (c *engine[K, V]) encode(full string, created int64, value *V, none error, slide time.Duration, tags []record.Tag) (record.Record, error) {
	rec := record.Record{Kind: record.Value, Created: c.clock.Time(created), Slide: slide, Tags: tags, Text: full}
	switch {
	case none != nil:
		rec.Kind, rec.Payload = record.None, []byte(textOfNone(none))
	case c.isNil(value):
		rec.Kind = record.Nil
	default:
		rec.Codec, rec.Origin = c.codec.Name(), c.origin
		var err error
		if bug := c.guarded("WithCodec", func() { rec.Payload, err = c.codec.Marshal(value) }); bug != nil {
			err = bug
		}
		if err != nil {
			return rec, &CodecError{Loader: c.name, Op: "Marshal", Codec: rec.Codec, Err: err}
		}
	}
	if n := rec.Size(); c.maxBytes > 0 && n > c.maxBytes {
		return rec, fmt.Errorf("%w: %d bytes; WithMaxBytes allows %d", ErrTooLarge, n, c.maxBytes)
	}
	return rec, nil
}

// decode sets *v, which is zero, to the value of a record. After an error, which is a *CodecError,
// *v is not to be used.
func (c *engine[K, V]) decode(rec *record.Record, v *V) error {
	if rec.Kind != record.Value {
		return nil
	}
	var err error
	if bug := c.guarded("WithCodec", func() { err = c.codec.Unmarshal(rec.Payload, v) }); bug != nil {
		err = bug
	}
	if err != nil {
		return &CodecError{Loader: c.name, Op: "Unmarshal", Codec: rec.Codec, Err: err}
	}
	return nil
}
