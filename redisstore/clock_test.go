package redisstore

import (
	"strings"
	"testing"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// frameOf returns a frame of a record with these times.
func frameOf(dies, deadline, life int64) string {
	return "z0" + blankID + strings.Repeat("p", idSize) + six(dies) + six(deadline) + six(life)
}

// six returns n in the six bytes that a frame has for a number.
func six(n int64) string {
	var b [6]byte
	for i := range b {
		b[5-i] = byte(n >> (8 * i))
	}
	return string(b[:])
}

// If the server's clock is another than this machine's, the first read is doubtful. The next ones
// are not.
func TestServerClockIsLearned(t *testing.T) {
	var c serverClock
	local := time.Now().UnixMilli()
	m := moment{local, local}
	for _, ahead := range []int64{0, 100_000, -100_000, 3_600_000} {
		c.learn(local, m)
		frame := frameOf(local+ahead+3_600_001, 0, 3_600_000)
		_, ok := c.timeLeft(frame, 3_600_000, m)
		if trusts := c.trusts(frame, local); ok != (ahead == 0) || trusts != (ahead <= 0) {
			t.Errorf("with an unknown clock %d ms ahead: a read is certain = %v, a plain GET %v; want %v, %v", ahead, ok, trusts, ahead == 0, ahead <= 0)
		}
		c.learn(local+ahead, m)
		left, ok := c.timeLeft(frame, 3_600_000, m)
		if trusts := c.trusts(frame, local); !ok || !trusts || left != time.Hour {
			t.Errorf("with a known clock %d ms ahead: %v left, certain = %v, a plain GET %v; want an hour", ahead, left, ok, trusts)
		}
	}
}

func TestFrameThatContradictsTheExpiryOfTheKeyIsDoubtful(t *testing.T) {
	const minute, hour = 60_000, 3_600_000
	var c serverClock
	now := time.Now().UnixMilli()
	for name, tt := range map[string]struct {
		dies, deadline, life, pttl int64
		left                       time.Duration
		ok, trusted                bool
	}{
		"Agrees":                     {now + minute, 0, minute, minute - 1, minute*time.Millisecond - time.Millisecond, true, true},
		"JustWritten":                {now + minute, 0, minute, noKey, time.Minute, true, true},
		"WrittenSincePTTL":           {now + minute, 0, minute, minute + 200, time.Minute, true, true},
		"LeaseEndsLater":             {now + minute, now + hour, minute, hour - 1, minute*time.Millisecond - time.Millisecond, true, true},
		"LeaseOutlivesTheRecord":     {now - minute, now + hour, minute, hour - 1, 0, true, false},
		"ForEver":                    {0, 0, 0, noExpiry, driver.Forever, true, true},
		"ForEverButTheKeyEnds":       {0, 0, 0, minute, 0, false, true},
		"ForEverButWithALife":        {0, 0, minute, noExpiry, 0, false, false},
		"KeyEndsSooner":              {now + minute, 0, minute, 3000, 0, false, true},
		"KeyEndsSoonerThanTheRecord": {now + minute, now + hour, minute, 3000, 0, false, true},
		"KeyEndsLater":               {now + minute, 0, minute, hour, 0, false, true},
		"KeyNeverEnds":               {now + minute, 0, minute, noExpiry, 0, false, true},
		"EndedButTheKeyNeverEnds":    {now - minute, 0, minute, noExpiry, 0, false, false},
		"EndedAndJustWritten":        {now - minute, 0, minute, noKey, time.Minute, false, false},
		"LivesTooLong":               {now + hour, 0, minute, hour - 1, time.Minute, false, false},
		"NoLife":                     {now + minute, 0, 0, minute - 1, 0, false, false},
		"MaxTimes":                   {1<<45 - 1, 1<<45 - 1, 1<<45 - 1, minute, 0, false, true},
	} {
		frame := frameOf(tt.dies, tt.deadline, tt.life)
		left, ok := c.timeLeft(frame, tt.pttl, moment{now, now})
		if ok != tt.ok || ok && left != tt.left {
			t.Errorf("%s: %v left, certain = %v; want %v, %v", name, left, ok, tt.left, tt.ok)
		}
		if got := c.trusts(frame, now); got != tt.trusted {
			t.Errorf("%s: a plain GET is certain = %v; want %v", name, got, tt.trusted)
		}
	}
}
