package redisstore

import (
	"strings"
	"testing"
	"time"
)

// If the server's clock is ahead, the first read looks torn. The next ones do not.
func TestServerClockIsLearned(t *testing.T) {
	var c serverClock
	now := time.Now().UnixMilli()
	frame := strings.Repeat(" ", 46) + six(now+3_600_000+1) + six(0) + six(60_000)
	for i, tt := range []struct {
		pttl int64
		torn bool
	}{
		{3_600_000, false}, // both clocks show the same time
		{3_500_000, true},  // the server seems to be 100 s ahead
		{3_500_000, false}, // it is
		{3_540_000, false}, // the server seems to be 40 s less ahead, which does no harm
		{3_500_000, true},  // it is 100 s ahead after all
		{-2, false},        // there was no key when PTTL ran: the record has just been written
	} {
		if got := c.torn(frame, tt.pttl); got != tt.torn {
			t.Errorf("read %d: torn = %v; want %v", i, got, tt.torn)
		}
	}
}

// six returns n in the six bytes that a frame has for a number.
func six(n int64) string {
	var b [6]byte
	for i := range b {
		b[5-i] = byte(n >> (8 * i))
	}
	return string(b[:])
}
