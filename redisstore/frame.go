package redisstore

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"math"
	"time"
	"unsafe"

	"github.com/zodiac-go/zodiac/driver"
)

// The layout of a frame; docs/redis-frame.md tells what the fields mean, and lua/frame.lua is the other one that knows.
const (
	frameSize  = 64
	atFlags    = 1
	atProducer = 24
	atDies     = 46
	atDeadline = 52
	atLife     = 58
	markFlag   = 4
	idSize     = 22
	digestSize = 12
	nobody     = "                      "
	foreign    = "z0" + nobody + "foreign---------------" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
)

// number reads the six bytes at i.
func number(frame string, i int) int64 {
	return int64(frame[i])<<40 | int64(frame[i+1])<<32 | int64(frame[i+2])<<24 |
		int64(frame[i+3])<<16 | int64(frame[i+4])<<8 | int64(frame[i+5])
}

// isFrame reports whether value has one of ours in front: then its numbers are less than 1 << 45, until the year 3084.
func isFrame(value string) bool {
	return len(value) >= frameSize && value[0] == 'z' && value[atFlags]&^7 == '0' &&
		value[atDies]|value[atDeadline]|value[atLife] < 32
}

// isMark reports whether the frame's record is one that only those who ask for its lease may see.
func isMark(frame string) bool { return (frame[atFlags]-'0')&markFlag != 0 }

func producer(frame string) string { return frame[atProducer : atProducer+idSize] }

// outlived reports whether the key may be there though its record is dead.
func outlived(frame string) bool {
	dies := number(frame, atDies)
	return 0 < dies && dies < number(frame, atDeadline)
}

// The answers of PTTL that are no time.
const (
	noKey    = -2
	noExpiry = -1
)

// left returns the time left of a record whose key had pttl ms left before the frame was read. ok is false if it is dead.
//
// If the record was written in between, or its life changed, it has all of it; else pttl is the key's, which ends at the later
// of dies and deadline.
func left(frame string, pttl int64) (d time.Duration, ok bool) {
	dies, life := number(frame, atDies), number(frame, atLife)
	if pttl == noExpiry && dies != 0 {
		return 0, false // somebody has made the key last longer than its record
	}
	ms := int64(math.MaxInt64)
	if pttl >= 0 {
		ms = pttl
		if dies != 0 {
			ms -= max(0, number(frame, atDeadline)-dies)
		}
		if ms < 0 {
			return 0, false
		}
	}
	if life != 0 {
		ms = min(ms, life)
	}
	return span(ms), true
}

// span returns ms as a duration. None is less than a millisecond, but not over.
func span(ms int64) time.Duration {
	switch {
	case ms > math.MaxInt64/int64(time.Millisecond):
		return driver.Forever
	case ms == 0:
		return time.Microsecond
	default:
		return time.Duration(ms) * time.Millisecond
	}
}

// record returns the record in value, which has a frame. value is the caller's alone, and is from now on the record's.
func record(value string, ttl time.Duration) driver.Record {
	data := unsafe.Slice(unsafe.StringData(value), len(value))
	return driver.Record{Data: data[frameSize:], TTL: ttl, Version: producer(value)}
}

// blob returns data with room for a frame in front: what a script is given, which then fills in the frame.
func blob(data []byte) []byte {
	b := make([]byte, frameSize+len(data))
	copy(b[frameSize:], data)
	return b
}

// shortest is what a time to live of a millisecond or two becomes: the server counts whole ones, and of one the present is the last.
const shortest = 2

// milliseconds returns ttl as the scripts take it, where 0 is for ever.
func milliseconds(ttl time.Duration) (int64, error) {
	switch {
	case ttl == driver.Forever:
		return 0, nil
	case ttl < time.Millisecond:
		return 0, errTTL
	default:
		return max(shortest, ttl.Milliseconds()), nil
	}
}

// leaseMilliseconds is milliseconds for a lease.
func leaseMilliseconds(p time.Duration) (int64, error) {
	if p == driver.Forever {
		return 0, errLease
	}
	return milliseconds(p)
}

// newID returns the id of a production that has no lease.
func newID() string { return rand.Text()[:idSize] }

// digest returns the first part of every grant of an ask.
func digest(asked string) string {
	sum := sha256.Sum256([]byte(asked))
	return base64.RawURLEncoding.EncodeToString(sum[:])[:digestSize]
}
