// Package record has the binary form of what a loader keeps in a store under a key.
//
// A [Record] is a value, a nil, a None, or a tombstone, together with what readers have to know of
// it: when it was made, its codec, what the type of the value looked like, its tags with their
// generations. docs/record.md has the form byte by byte. It is in users' stores and is read by other
// languages, so a change to it needs a new version, or a new flag if readers that do not know it
// had better miss the record.
//
// A record has exactly one binary form, and bytes that are anything else are refused with an
// [Error]. So are counts and lengths that no writer of zodiac's makes, before anything is done for
// them. Parse never panics. The package knows nothing of stores and leases, and encodes no values.
// When a record expires is not part of it: that is the store's time to live.
package record

import (
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"time"

	"github.com/zodiac-go/zodiac/internal/release"
)

// A Kind says what a record holds.
type Kind uint8

// The kinds of records. Those from Skipped on are tombstones: see driver.Record.
const (
	Value   Kind = iota // payload: the value as its codec writes it
	Nil                 // a nil pointer or nil interface
	None                // the key is known not to exist; payload: the text of the error that said so
	Skipped             // the result of a fetch may not be stored
	Failed              // a fetch failed; payload: the text of its error
	kinds               // how many there are
)

// A Record is what is kept in the Data of a driver.Record.
type Record struct {
	Kind    Kind
	Codec   string        // its name; may be empty if there is nothing for it to decode
	Created time.Time     // by the writer's wall clock, to the nanosecond, of the years 1678 to 2262
	Stale   time.Duration // how long before its end the record is stale; 0 = never
	Cost    time.Duration // how long the fetch took; 0 = not known
	Slide   time.Duration // a use extends the life to this; 0 = it does not
	Tags    []Tag
	Text    string // the text of a key that is too long for the store's key; else empty
	Payload []byte

	Origin
}

// An Origin says what a loader's values look like, and how new the loader is.
type Origin struct {
	Shape   uint64          // the fingerprint of the type of the values: see package shape; 0 = not told
	Release release.Release // a record has it only with a Shape
}

// protected is for how long a record of a newer release keeps its place. Later that release may be
// gone.
const protected = time.Minute

// Stays reports whether a loader of another release, to which a record of o and of that age is of no
// use, leaves it in its place. Of two releases only one replaces the other's young records. So they
// do not write a key in turn.
func (o Origin) Stays(age time.Duration, other Origin) bool {
	newer := cmp.Or(o.Release.Compare(other.Release), cmp.Compare(o.Shape, other.Shape)) > 0
	return o.Shape != 0 && newer && age.Abs() < protected // one from far in the future lies
}

// A Tag is the name of a tag and the generation it had before the value was fetched.
type Tag struct{ Name, Gen string }

// An Error says why bytes are no record. Every Error means a miss.
type Error string

func (e Error) Error() string { return "zodiac: not a record: " + string(e) }

const (
	errForeign   Error = "written by something else"
	errVersion   Error = "of a version this zodiac does not know"
	errKind      Error = "of a kind this zodiac does not know"
	errFlags     Error = "with a flag this zodiac does not know"
	errTruncated Error = "cut short"
	errChecksum  Error = "the checksum is wrong"
	errMalformed Error = "malformed"
)

// The first byte occurs in no UTF-8 text, and no MessagePack begins with it.
const (
	magic   = 0xC1
	version = 1
)

// The third byte has the kind in its low bits. The others say which optional fields there are.
const (
	kindBits = 0x07
	hasStale = 0x08
	hasCost  = 0x10
	hasSlide = 0x20
	hasTags  = 0x40
	hasText  = 0x80
)

// The fourth byte has flags. A reader that does not know one of them must not use the record.
const (
	hasShape   = 0x01
	knownFlags = hasShape
)

const (
	headSize  = 4 + 8 // magic, version, kind and fields, flags; created
	sumSize   = 4
	shapeSize = 8
	minSize   = headSize + 1 + sumSize
)

// The most that a record of zodiac's has. Parse refuses more.
const (
	MaxTags  = 64
	maxCodec = 32 // bytes of a codec's name
	maxGen   = 64 // bytes of a tag's generation
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// TagNames returns the names of the tags, or nil if there are none.
func (r *Record) TagNames() (names []string) {
	for _, t := range r.Tags {
		names = append(names, t.Name)
	}
	return names
}

// Size returns the length of the binary form.
func (r *Record) Size() int {
	n := headSize + stringSize(r.Codec) + len(r.Payload) + sumSize
	if r.Shape != 0 {
		n += shapeSize + uvarintSize(r.Release.Built) + uvarintSize(r.Release.Started)
	}
	for _, d := range [...]time.Duration{r.Stale, r.Cost, r.Slide} {
		if d > 0 {
			n += uvarintSize(uint64(d))
		}
	}
	if len(r.Tags) > 0 {
		n += uvarintSize(uint64(len(r.Tags)))
		for _, t := range r.Tags {
			n += stringSize(t.Name) + stringSize(t.Gen)
		}
	}
	if r.Text != "" {
		n += stringSize(r.Text)
	}
	return n
}

// AppendTo appends the binary form to dst. If dst is nil, it allocates a slice of the right size.
func (r *Record) AppendTo(dst []byte) []byte {
	if dst == nil {
		dst = make([]byte, 0, r.Size())
	}
	start := len(dst)
	dst = append(dst, magic, version, r.fields(), r.flags())
	dst = binary.LittleEndian.AppendUint64(dst, uint64(unixNano(r.Created)))
	dst = appendString(dst, r.Codec)
	if r.Shape != 0 {
		dst = binary.LittleEndian.AppendUint64(dst, r.Shape)
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, r.Release.Built), r.Release.Started)
	}
	for _, d := range [...]time.Duration{r.Stale, r.Cost, r.Slide} {
		if d > 0 {
			dst = binary.AppendUvarint(dst, uint64(d))
		}
	}
	if len(r.Tags) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(r.Tags)))
		for _, t := range r.Tags {
			dst = appendString(appendString(dst, t.Name), t.Gen)
		}
	}
	if r.Text != "" {
		dst = appendString(dst, r.Text)
	}
	dst = append(dst, r.Payload...)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// fields returns the third byte.
func (r *Record) fields() byte {
	b := byte(r.Kind)
	if r.Stale > 0 {
		b |= hasStale
	}
	if r.Cost > 0 {
		b |= hasCost
	}
	if r.Slide > 0 {
		b |= hasSlide
	}
	if len(r.Tags) > 0 {
		b |= hasTags
	}
	if r.Text != "" {
		b |= hasText
	}
	return b
}

// flags returns the fourth byte.
func (r *Record) flags() byte {
	if r.Shape != 0 {
		return hasShape
	}
	return 0
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func stringSize(s string) int { return uvarintSize(uint64(len(s))) + len(s) }

func uvarintSize(n uint64) int { return (bits.Len64(n|1) + 6) / 7 }
