package zodiac

import (
	"math/rand/v2"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/coarse"
	"github.com/zodiac-go/zodiac/internal/period"
)

// Period is a span of time given to an option. A bare number is seconds: WithTTL(60), WithTTL(1.5). A
// time.Duration is itself: WithTTL(time.Minute). Zero, negative, NaN, more than a time.Duration can
// hold, and less than a millisecond are errors.
type Period interface {
	int | int64 | float64 | time.Duration
}

// Forever is the Period of an entry that never expires.
const Forever = driver.Forever

// shortest is the least lifetime there is. A shorter one is an error in a setting, and otherwise
// means that a value is not stored.
const shortest = period.Shortest

// duration returns the time.Duration of p.
func duration[P Period](p P) (time.Duration, error) { return period.Parse(p) }

// lifetimes say how long the entries of one cache live. A zero field is not set.
type lifetimes[K comparable, V any] struct {
	ttl     time.Duration // of values; Forever if not set
	fn      func(K, V) time.Duration
	none    time.Duration // of a None; ttl if not set
	failed  time.Duration // of remembered errors; not set: none are remembered
	jitter  float64
	sliding bool
}

// of returns the lifetime of a value: the one given with the call, else the function's, else the
// setting. Under a millisecond means that the value is not stored.
func (l *lifetimes[K, V]) of(key K, value *V, given time.Duration) time.Duration {
	switch {
	case given != 0:
		return l.shorten(given)
	case l.fn != nil:
		return l.shorten(l.fn(key, *value))
	default:
		return l.shorten(l.ttl)
	}
}

// ofNone returns the lifetime of a None.
func (l *lifetimes[K, V]) ofNone(given time.Duration) time.Duration {
	switch {
	case given != 0:
		return l.shorten(given)
	case l.none != 0:
		return l.shorten(l.none)
	default:
		return l.shorten(l.ttl)
	}
}

// shorten takes a random part of up to jitter off d, so that entries that are stored together do not
// expire together. It never makes d too short to be stored.
func (l *lifetimes[K, V]) shorten(d time.Duration) time.Duration {
	if l.jitter == 0 || d == Forever || d < shortest {
		return d
	}
	return max(shortest, d-time.Duration(l.jitter*rand.Float64()*float64(d)))
}

// slide returns the lifetime that an entry gets at each use: 0 if it does not slide.
func (l *lifetimes[K, V]) slide(life time.Duration) time.Duration {
	if !l.sliding || life == Forever {
		return 0
	}
	return life
}

// expiry returns the end of a lifetime that begins now, by the clock of memory.
func expiry(now int64, life time.Duration) int64 {
	if life == Forever || now > coarse.Never-int64(life) {
		return coarse.Never
	}
	return now + int64(life)
}
