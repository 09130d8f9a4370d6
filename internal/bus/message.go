package bus

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// A message is one frame or more. A frame is
//
//	magic    2 bytes, "z1": the 1 is the version of what follows
//	length   of the body, a varint
//	body     publisher, 8 bytes, the highest first
//	         number, sent and age, varints; the times are in microseconds, sent since 1970
//	         prefix: its length, a varint, and its bytes
//	         how many keys there are, a varint; each like the prefix
//	checksum CRC-32C of the body, 4 bytes, the highest first
//
// Varints are unsigned. A receiver drops whatever is no frame of its version.
const magic = "z1"

// MaxMessage is the largest message in bytes that is looked at.
const MaxMessage = 128 << 10

// MaxFrame is the largest frame in bytes that may be published.
const MaxFrame = 48 << 10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errTooLarge = errors.New("zodiac: the invalidation is too large for one message")

// AppendFrame appends inv to a message. Gap, Malformed and Partition are not part of it.
func AppendFrame(b []byte, inv driver.Invalidation) ([]byte, error) {
	var sent uint64
	if !inv.Sent.IsZero() {
		sent = uint64(max(0, inv.Sent.UnixMicro()))
	}
	body := binary.BigEndian.AppendUint64(nil, inv.Publisher)
	body = binary.AppendUvarint(body, inv.Number)
	body = binary.AppendUvarint(body, sent)
	body = binary.AppendUvarint(body, uint64(max(0, inv.Age.Microseconds())))
	body = appendText(body, inv.Prefix)
	body = binary.AppendUvarint(body, uint64(len(inv.Keys)))
	for _, key := range inv.Keys {
		body = appendText(body, key)
	}
	if len(body) > MaxFrame-16 {
		return b, errTooLarge
	}
	b = append(b, magic...)
	b = binary.AppendUvarint(b, uint64(len(body)))
	b = append(b, body...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(body, castagnoli)), nil
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// ParseMessage calls fn for each frame of a message. It returns false if the message, or what
// follows its last good frame, is something else: a receiver drops that. The keys are parts of
// message.
func ParseMessage(message string, fn func(driver.Invalidation)) bool {
	if len(message) > MaxMessage || message == "" {
		return false
	}
	for message != "" {
		r := reader{rest: message}
		if r.text(len(magic)) != magic {
			return false
		}
		body := r.text(int(min(r.number(), MaxMessage)))
		sum := r.text(4)
		if r.bad || binary.BigEndian.Uint32([]byte(sum)) != crc32.Checksum([]byte(body), castagnoli) {
			return false
		}
		inv, ok := parseBody(body)
		if !ok {
			return false
		}
		fn(inv)
		message = r.rest
	}
	return true
}

// parseBody reads the body of a frame.
func parseBody(body string) (inv driver.Invalidation, ok bool) {
	r := reader{rest: body}
	if id := r.text(8); !r.bad {
		inv.Publisher = binary.BigEndian.Uint64([]byte(id))
	}
	inv.Number = r.number()
	sent, age := r.number(), r.number()
	inv.Prefix = r.text(int(min(r.number(), MaxMessage)))
	n := r.number()
	if r.bad || n > uint64(len(r.rest)) || sent > maxMicros || age > maxMicros { // a key takes a byte at least
		return inv, false
	}
	if sent > 0 {
		inv.Sent = time.UnixMicro(int64(sent))
	}
	inv.Age = time.Duration(age) * time.Microsecond
	if n > 0 {
		inv.Keys = make([]string, n)
	}
	for i := range inv.Keys {
		inv.Keys[i] = r.text(int(min(r.number(), MaxMessage)))
	}
	return inv, !r.bad && r.rest == ""
}

// maxMicros is a time that no clock shows, in microseconds: 9,000 years fit a time.Time, and 290 a
// time.Duration.
const maxMicros = 1 << 53

// A reader takes parts off a text. bad is set once something is missing, and then all is empty.
type reader struct {
	rest string
	bad  bool
}

func (r *reader) number() uint64 {
	var head [binary.MaxVarintLen64]byte
	n, used := binary.Uvarint(head[:copy(head[:], r.rest)])
	if used <= 0 || used > len(r.rest) {
		r.fail()
		return 0
	}
	r.rest = r.rest[used:]
	return n
}

func (r *reader) text(n int) string {
	if n > len(r.rest) {
		r.fail()
		return ""
	}
	text := r.rest[:n]
	r.rest = r.rest[n:]
	return text
}

func (r *reader) fail() { r.rest, r.bad = "", true }

// IsFrame reports whether message begins like a frame of some version.
func IsFrame(message string) bool { return strings.HasPrefix(message, magic[:1]) }
