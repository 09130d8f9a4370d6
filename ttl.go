package zodiac

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/coarse"
)

// Period is what options take for a span of time. A bare number is seconds: WithTTL(60), WithTTL(1.5). A
// time.Duration is itself: WithTTL(time.Minute). Zero, negative, NaN, more than a time.Duration can hold, and
// less than a millisecond are errors.
type Period interface {
	int | int64 | float64 | time.Duration
}

// Forever is the Period of what never expires.
const Forever = driver.Forever

// shortest is the least lifetime there is: shorter ones are, given as a setting, an error, and otherwise mean not
// to store.
const shortest = time.Millisecond

// duration returns the time.Duration of p.
func duration[P Period](p P) (time.Duration, error) {
	var d time.Duration
	switch p := any(p).(type) {
	case time.Duration:
		d = p
		if d > 0 && d < shortest {
			return 0, fmt.Errorf("%v is less than a millisecond; did you mean %d*time.Second?", d, int64(d))
		}
	case float64:
		switch ns := p * float64(time.Second); {
		case math.IsNaN(p):
			return 0, errors.New("NaN is not a number of seconds")
		case ns >= math.MaxInt64:
			return 0, fmt.Errorf("%v seconds are more than a time.Duration holds; for no end give zodiac.Forever", p)
		case p > 0 && ns < float64(shortest):
			return 0, fmt.Errorf("%v seconds are less than a millisecond", p)
		default:
			d = time.Duration(math.Max(ns, math.MinInt64))
		}
	case int:
		return wholeSeconds(int64(p))
	case int64:
		return wholeSeconds(p)
	}
	if d <= 0 {
		return 0, fmt.Errorf("%v is not a positive time; for no end give zodiac.Forever, to store nothing use a context of zodiac.Bypass", p)
	}
	return d, nil
}

func wholeSeconds(s int64) (time.Duration, error) {
	if s <= 0 {
		return 0, fmt.Errorf("%d is not a positive time; for no end give zodiac.Forever, to store nothing use a context of zodiac.Bypass", s)
	}
	if s > int64(Forever/time.Second) {
		return 0, fmt.Errorf("%d seconds are more than a time.Duration holds; for no end give zodiac.Forever", s)
	}
	return time.Duration(s) * time.Second, nil
}

// A lifetimes says how long the entries of one cache live. The zero values of its fields mean "not set".
type lifetimes[K comparable, V any] struct {
	ttl     time.Duration // of values; Forever if not set
	fn      func(K, V) time.Duration
	none    time.Duration // of what is known not to exist; ttl if not set
	failed  time.Duration // of remembered errors; not set: none are remembered
	jitter  float64
	sliding bool
}

// of returns the lifetime of a value: the one given for this call, else the function's, else the setting. Under
// a millisecond means not to store.
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

// shorten takes a random part of up to jitter off d, so that what was stored together does not expire together. It never
// makes d too short to be stored.
func (l *lifetimes[K, V]) shorten(d time.Duration) time.Duration {
	if l.jitter == 0 || d == Forever || d < shortest {
		return d
	}
	return max(shortest, d-time.Duration(l.jitter*rand.Float64()*float64(d)))
}

// slide returns the lifetime an entry gets at each use: 0 if it does not slide.
func (l *lifetimes[K, V]) slide(life time.Duration) time.Duration {
	if !l.sliding || life == Forever {
		return 0
	}
	return life
}

// expiry returns when a lifetime that begins now ends, by the clock of memory.
func expiry(now int64, life time.Duration) int64 {
	if life == Forever || now > coarse.Never-int64(life) {
		return coarse.Never
	}
	return now + int64(life)
}
