package record

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"time"

	"github.com/zodiac-go/zodiac/internal/release"
)

// Parse reads the binary form into r. The payload is a part of data; everything else is copied. If
// r.Codec already is the record's, it is kept, which saves an allocation; r.Tags is reused. After
// an error, which is an [Error], r is not to be used. It has at most [MaxTags] tags.
func Parse(data []byte, r *Record) error {
	switch {
	case len(data) > 0 && data[0] != magic:
		return errForeign
	case len(data) < 2:
		return errTruncated
	case data[1] != version:
		return errVersion
	case len(data) < minSize:
		return errTruncated
	}
	body := data[:len(data)-sumSize]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(data[len(body):]) {
		return errChecksum
	}
	fields, flags := data[2], data[3]
	*r = Record{Kind: Kind(fields & kindBits), Codec: r.Codec, Tags: r.Tags[:0]}
	if r.Kind >= kinds {
		return errKind
	}
	if flags&^knownFlags != 0 {
		return errFlags
	}
	r.Created = time.Unix(0, int64(binary.LittleEndian.Uint64(data[4:])))
	p := reader{rest: body[headSize:]}
	if codec := p.bytes(maxCodec); string(codec) != r.Codec {
		r.Codec = codecName(codec)
	}
	if flags&hasShape != 0 {
		p.shape(r)
	}
	if fields&^kindBits != 0 {
		p.optional(fields, r)
	}
	r.Payload = p.rest
	return p.fault()
}

// MayHaveTags reports whether a record has tags, if it can be parsed.
func MayHaveTags(data []byte) bool { return len(data) >= minSize && data[2]&hasTags != 0 }

// codecName returns the name in b, without an allocation if it is the default codec's.
func codecName(b []byte) string {
	const json = "json"
	if string(b) == json {
		return json
	}
	return string(b)
}

// A reader takes fields off the front of rest. The checksum was right, so a fault is the writer's.
type reader struct {
	rest []byte
	bad  bool
}

func (p *reader) fault() error {
	if p.bad {
		return errMalformed
	}
	return nil
}

// shape reads what the type of the value looked like, and to whom.
func (p *reader) shape(r *Record) {
	if p.bad || len(p.rest) < shapeSize {
		p.bad = true
		return
	}
	r.Shape = binary.LittleEndian.Uint64(p.rest)
	p.bad = r.Shape == 0
	p.rest = p.rest[shapeSize:]
	r.Release = release.Release{Built: p.uvarint(), Started: p.uvarint()}
}

// optional reads the optional fields.
func (p *reader) optional(fields byte, r *Record) {
	if fields&hasStale != 0 {
		r.Stale = p.duration()
	}
	if fields&hasCost != 0 {
		r.Cost = p.duration()
	}
	if fields&hasSlide != 0 {
		r.Slide = p.duration()
	}
	if fields&hasTags != 0 {
		n := p.uvarint()
		p.bad = p.bad || n == 0 || n > MaxTags
		for ; n > 0 && !p.bad; n-- {
			name, gen := p.bytes(math.MaxInt), p.bytes(maxGen)
			p.bad = p.bad || len(name) == 0
			r.Tags = append(r.Tags, Tag{string(name), string(gen)})
		}
	}
	if fields&hasText != 0 {
		r.Text = string(p.bytes(math.MaxInt))
		p.bad = p.bad || r.Text == ""
	}
}

// duration reads a duration, which is positive.
func (p *reader) duration() time.Duration {
	n := p.uvarint()
	p.bad = p.bad || n == 0 || n > math.MaxInt64
	return time.Duration(n)
}

// bytes reads a length and that many bytes, at most limit.
func (p *reader) bytes(limit int) []byte {
	n := p.uvarint()
	if p.bad || n > uint64(min(limit, len(p.rest))) {
		p.bad = true
		return nil
	}
	b := p.rest[:n]
	p.rest = p.rest[n:]
	return b
}

// uvarint reads a number in its shortest form, so that a record has one binary form.
func (p *reader) uvarint() uint64 {
	n, size := binary.Uvarint(p.rest)
	if p.bad || size <= 0 || size > 1 && p.rest[size-1] == 0 {
		p.bad = true
		return 0
	}
	p.rest = p.rest[size:]
	return n
}

// unixNano is Time.UnixNano, except that a time out of its range becomes the nearest one in it.
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
