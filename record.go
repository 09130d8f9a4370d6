package zodiac

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"math/bits"
	"time"
)

// A recordKind says what a record holds.
type recordKind uint8

const (
	recordValue     recordKind = iota // payload: the value as its codec writes it
	recordNil                         // a nil pointer or nil interface
	recordNone                        // the key is known not to exist; payload: the text of the error that said so
	recordSkipMark                    // the fetch's result may not be stored
	recordErrorMark                   // the fetch failed; payload: the text of its error
	recordKinds                       // how many there are
)

// A record is what is kept in a [Record]'s Data. Its binary form is in users' stores, and read by other languages:
// docs/record.md has it byte by byte, and a change to it needs a new version.
type record struct {
	kind    recordKind
	codec   string        // its name; may be empty if there is nothing for it to decode
	created time.Time     // by the writer's wall clock, to the nanosecond, of the years 1678 to 2262
	stale   time.Duration // how long before its end the record is stale; 0 = never
	cost    time.Duration // how long the fetch took; 0 = not known
	slide   time.Duration // what a use extends the life to; 0 = it does not
	tags    []recordTag
	text    string // the text of a key that is too long to be in the store's key; else empty
	payload []byte
}

// A recordTag is a tag and the generation it had before the value was fetched.
type recordTag struct{ name, gen string }

// A recordError says why bytes are no record. All of them mean a miss.
type recordError string

func (e recordError) Error() string { return "zodiac: not a record: " + string(e) }

const (
	errRecordForeign   recordError = "written by something else"
	errRecordVersion   recordError = "of a version this zodiac does not know"
	errRecordKind      recordError = "of a kind this zodiac does not know"
	errRecordTruncated recordError = "cut short"
	errRecordChecksum  recordError = "the checksum is wrong"
	errRecordMalformed recordError = "malformed"
)

// The first byte occurs in no UTF-8 text and begins no MessagePack.
const (
	recordMagic   = 0xC1
	recordVersion = 1
)

// The third byte: the kind in the low bits, and which optional fields there are.
const (
	recordKindBits = 0x07
	recordHasStale = 0x08
	recordHasCost  = 0x10
	recordHasSlide = 0x20
	recordHasTags  = 0x40
	recordHasText  = 0x80
)

const (
	recordHead = 3 + 8 // magic, version, kind and fields; created
	recordSum  = 4
	recordMin  = recordHead + 1 + recordSum
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// size returns the length of the binary form.
func (r *record) size() int {
	n := recordHead + stringSize(r.codec) + len(r.payload) + recordSum
	for _, d := range [...]time.Duration{r.stale, r.cost, r.slide} {
		if d > 0 {
			n += uvarintSize(uint64(d))
		}
	}
	if len(r.tags) > 0 {
		n += uvarintSize(uint64(len(r.tags)))
		for _, t := range r.tags {
			n += stringSize(t.name) + stringSize(t.gen)
		}
	}
	if r.text != "" {
		n += stringSize(r.text)
	}
	return n
}

// appendTo appends the binary form to dst. Without dst it makes one of the right size.
func (r *record) appendTo(dst []byte) []byte {
	if dst == nil {
		dst = make([]byte, 0, r.size())
	}
	start := len(dst)
	dst = append(dst, recordMagic, recordVersion, r.fields())
	dst = binary.LittleEndian.AppendUint64(dst, uint64(unixNano(r.created)))
	dst = appendString(dst, r.codec)
	for _, d := range [...]time.Duration{r.stale, r.cost, r.slide} {
		if d > 0 {
			dst = binary.AppendUvarint(dst, uint64(d))
		}
	}
	if len(r.tags) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(r.tags)))
		for _, t := range r.tags {
			dst = appendString(appendString(dst, t.name), t.gen)
		}
	}
	if r.text != "" {
		dst = appendString(dst, r.text)
	}
	dst = append(dst, r.payload...)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// fields returns the third byte.
func (r *record) fields() byte {
	b := byte(r.kind)
	if r.stale > 0 {
		b |= recordHasStale
	}
	if r.cost > 0 {
		b |= recordHasCost
	}
	if r.slide > 0 {
		b |= recordHasSlide
	}
	if len(r.tags) > 0 {
		b |= recordHasTags
	}
	if r.text != "" {
		b |= recordHasText
	}
	return b
}

// parseRecord reads the binary form into r. The payload is a part of data, all else is copied. If r.codec is already the
// record's, it is kept, which saves an allocation. After an error, which is a [recordError], r is not to be used.
func parseRecord(data []byte, r *record) error {
	switch {
	case len(data) > 0 && data[0] != recordMagic:
		return errRecordForeign
	case len(data) < 2:
		return errRecordTruncated
	case data[1] != recordVersion:
		return errRecordVersion
	case len(data) < recordMin:
		return errRecordTruncated
	}
	body := data[:len(data)-recordSum]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(data[len(body):]) {
		return errRecordChecksum
	}
	fields := data[2]
	*r = record{kind: recordKind(fields & recordKindBits), codec: r.codec, tags: r.tags[:0]}
	if r.kind >= recordKinds {
		return errRecordKind
	}
	r.created = time.Unix(0, int64(binary.LittleEndian.Uint64(data[3:])))
	p := recordReader{rest: body[recordHead:]}
	if codec := p.bytes(); string(codec) != r.codec {
		r.codec = codecName(codec)
	}
	if fields&^recordKindBits != 0 {
		p.optional(fields, r)
	}
	r.payload = p.rest
	return p.fault()
}

// mayHaveTags reports whether a record has tags, if it can be parsed.
func mayHaveTags(data []byte) bool { return len(data) >= recordMin && data[2]&recordHasTags != 0 }

// codecName returns the name in b, without an allocation if it is the default codec's.
func codecName(b []byte) string {
	if string(b) == jsonName {
		return jsonName
	}
	return string(b)
}

// A recordReader takes fields off the front of rest. Checksums have been checked, so a fault is the writer's.
type recordReader struct {
	rest []byte
	bad  bool
}

func (p *recordReader) fault() error {
	if p.bad {
		return errRecordMalformed
	}
	return nil
}

// optional reads the optional fields.
func (p *recordReader) optional(fields byte, r *record) {
	if fields&recordHasStale != 0 {
		r.stale = p.duration()
	}
	if fields&recordHasCost != 0 {
		r.cost = p.duration()
	}
	if fields&recordHasSlide != 0 {
		r.slide = p.duration()
	}
	if fields&recordHasTags != 0 {
		n := p.uvarint()
		p.bad = p.bad || n == 0
		for ; n > 0 && !p.bad; n-- {
			r.tags = append(r.tags, recordTag{string(p.bytes()), string(p.bytes())})
		}
	}
	if fields&recordHasText != 0 {
		r.text = string(p.bytes())
		p.bad = p.bad || r.text == ""
	}
}

// duration reads a duration, which is positive.
func (p *recordReader) duration() time.Duration {
	n := p.uvarint()
	p.bad = p.bad || n == 0 || n > math.MaxInt64
	return time.Duration(n)
}

// bytes reads a length and so many bytes.
func (p *recordReader) bytes() []byte {
	n := p.uvarint()
	if p.bad || n > uint64(len(p.rest)) {
		p.bad = true
		return nil
	}
	b := p.rest[:n]
	p.rest = p.rest[n:]
	return b
}

// uvarint reads a number in its shortest form: a record has one binary form.
func (p *recordReader) uvarint() uint64 {
	n, size := binary.Uvarint(p.rest)
	if p.bad || size <= 0 || size > 1 && p.rest[size-1] == 0 {
		p.bad = true
		return 0
	}
	p.rest = p.rest[size:]
	return n
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func stringSize(s string) int { return uvarintSize(uint64(len(s))) + len(s) }

func uvarintSize(n uint64) int { return (bits.Len64(n|1) + 6) / 7 }

// unixNano is Time.UnixNano, but times out of its range become the first or the last in it.
func unixNano(t time.Time) int64 {
	switch {
	case t.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	default:
		return t.UnixNano()
	}
}
