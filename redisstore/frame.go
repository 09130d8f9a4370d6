package redisstore

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"
	"unsafe"

	"github.com/zodiac-go/zodiac/driver"
)

// A key in Redis holds a frame of 64 bytes, and the data of the record after it. These are the
// places of the frame's fields. docs/redis-frame.md says what the fields mean. lua/frame.lua is the
// only other code that knows the layout.
const (
	frameSize  = 64
	atFlags    = 1  // one byte, '0' to '7'
	atLease    = 2  // idSize bytes: the grant of the lease
	atProducer = 24 // idSize bytes: the Version of the record
	atDies     = 46 // six bytes, as are the next two: when the record ends, 0 = never
	atDeadline = 52 // when the lease ends
	atLife     = 58 // the time left when the record was written, touched or leased, 0 = for ever

	tombstoneFlag = 4
	idSize        = 22 // of a grant and of a producer
	digestSize    = 12 // of the first part of a grant

	// foreignID is the Version of a value without a frame.
	foreignID = "foreign---------------"

	// blankID stands for no lease, or for no record.
	blankID = "                      "

	// foreign is read in place of a value that has no frame, or is no string: a record that never
	// ends, without data. A Loader counts such a record as corrupt and overwrites it.
	foreign = "z0" + blankID + foreignID +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
)

// number reads the six bytes at i, the highest first: milliseconds of the server's clock since
// 1970, or a number of milliseconds.
func number(frame string, i int) int64 {
	return int64(frame[i])<<40 | int64(frame[i+1])<<32 | int64(frame[i+2])<<24 |
		int64(frame[i+3])<<16 | int64(frame[i+4])<<8 | int64(frame[i+5])
}

// isFrame reports whether value begins with a frame. The numbers of a frame are below 1<<45, a time
// in the year 3084, so the first byte of each is below 32. Text has no such bytes. The letters of
// the ids are checked as scripts check them: what counts as foreign to scripts must be foreign to
// readers too.
func isFrame(value string) bool {
	return len(value) >= frameSize && value[0] == 'z' && value[atFlags]&^7 == '0' &&
		value[atDies]|value[atDeadline]|value[atLife] < 32 &&
		isGrant(value[atLease:atProducer]) && isProducer(producer(value))
}

// isGrant reports whether id is blank, or twelve letters of base64url and ten digits.
func isGrant(id string) bool {
	return id == blankID || isID(id) && strings.Trim(id[digestSize:], "0123456789") == ""
}

func isProducer(id string) bool { return id == blankID || isID(id) }

// isID reports whether id consists of letters of base64url.
func isID(id string) bool {
	for i := range len(id) {
		if !inID[id[i]] {
			return false
		}
	}
	return true
}

var inID = func() (in [256]bool) {
	for _, b := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		in[b] = true
	}
	return in
}()

// isTombstone reports whether the record of the frame is a tombstone, which only Acquire returns.
func isTombstone(frame string) bool { return (frame[atFlags]-'0')&tombstoneFlag != 0 }

// producer returns the Version of the record, or blankID if there is no record.
func producer(frame string) string { return frame[atProducer : atProducer+idSize] }

// mayOutlive reports whether the key may still exist after its record has ended, because it has a
// lease that ends later.
func mayOutlive(frame string) bool {
	dies := number(frame, atDies)
	return 0 < dies && dies < number(frame, atDeadline)
}

// record returns the record in value, which begins with a frame. Its Data is the memory of value,
// so nothing else may use value afterwards.
func record(value string, ttl time.Duration) driver.Record {
	data := unsafe.Slice(unsafe.StringData(value), len(value))
	return driver.Record{Data: data[frameSize:], TTL: ttl, Version: producer(value)}
}

// withFrame returns data behind room for a frame. Scripts take data in this form and fill in the
// frame.
func withFrame(data []byte) []byte {
	b := make([]byte, frameSize+len(data))
	copy(b[frameSize:], data)
	return b
}

// minTTL is the shortest time to live that a script is given, in ms. The server counts whole
// milliseconds, and the present one is the last of a key that has one left: with one millisecond, a
// record would be gone as it is written.
const minTTL = 2

// milliseconds returns ttl in the form that scripts take, in which 0 means for ever.
func milliseconds(ttl time.Duration) (int64, error) {
	switch {
	case ttl == driver.Forever:
		return 0, nil
	case ttl < time.Millisecond:
		return 0, errTTL
	default:
		return max(minTTL, ttl.Milliseconds()), nil
	}
}

// longestLease is the longest lease that is granted. A frame whose lease ends later was changed by
// somebody else, and that lease counts as over: see LONGEST in lua/frame.lua.
const longestLease = 24 * time.Hour

// leaseMilliseconds is milliseconds for a lease, which must end.
func leaseMilliseconds(p time.Duration) (int64, error) {
	if p == driver.Forever {
		return 0, errLease
	}
	return milliseconds(min(p, longestLease))
}

// newVersion returns a Version for a record that is not stored under a lease.
func newVersion() string { return rand.Text()[:idSize] }

// digest returns the first part of each grant that is given for the token of an Ask.
func digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])[:digestSize]
}
