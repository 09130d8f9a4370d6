package redisstore

import (
	"strings"
	"testing"
	"time"
)

// A server whose clock differs from ours costs one more read, once.
func TestServerClockIsLearnt(t *testing.T) {
	var c serverClock
	now := time.Now().UnixMilli()
	frame := strings.Repeat(" ", 46) + six(now+3_600_000+1) + six(0) + six(60_000)
	for i, tt := range []struct {
		pttl int64
		torn bool
	}{
		{3_600_000, false}, // the same time
		{3_500_000, true},  // 100 s ahead
		{3_500_000, false}, // it really is
		{3_540_000, false}, // 40 s less: a PTTL too long, which life caps
		{3_500_000, true},
		{-2, false}, // no key yet: it was just born
	} {
		if got := c.torn(frame, tt.pttl); got != tt.torn {
			t.Errorf("%d: torn = %v; want %v", i, got, tt.torn)
		}
	}
}

// six writes a number as frames have it.
func six(n int64) string {
	var b [6]byte
	for i := range b {
		b[5-i] = byte(n >> (8 * i))
	}
	return string(b[:])
}
