// Package period converts a span of time that is given as a number of seconds or as a
// time.Duration.
package period

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Shortest is the least span there is.
const Shortest = time.Millisecond

const (
	forNoEnd   = "for no end give zodiac.Forever"
	forNothing = "to store nothing use a context of zodiac.Bypass"
)

// Parse returns p, an int, int64 or float64 of seconds or a time.Duration, as a time.Duration. Zero,
// negative, NaN, more than a time.Duration can hold, and less than Shortest are errors.
func Parse(p any) (time.Duration, error) {
	switch p := p.(type) {
	case time.Duration:
		if p > 0 && p < Shortest {
			return 0, fmt.Errorf("%v is less than a millisecond; did you mean %d*time.Second?", p, int64(p))
		}
		return positive(p, p)
	case float64:
		return seconds(p)
	case int:
		return wholeSeconds(int64(p))
	case int64:
		return wholeSeconds(p)
	default:
		return 0, fmt.Errorf("a %T is no span of time", p)
	}
}

func seconds(s float64) (time.Duration, error) {
	switch ns := s * float64(time.Second); {
	case math.IsNaN(s):
		return 0, errors.New("NaN is not a number of seconds")
	case ns >= math.MaxInt64:
		return 0, fmt.Errorf("%v seconds are more than a time.Duration holds; %s", s, forNoEnd)
	case s > 0 && ns < float64(Shortest):
		return 0, fmt.Errorf("%v seconds are less than a millisecond", s)
	default:
		return positive(time.Duration(math.Max(ns, math.MinInt64)), s)
	}
}

func wholeSeconds(s int64) (time.Duration, error) {
	if s > int64(math.MaxInt64/time.Second) {
		return 0, fmt.Errorf("%d seconds are more than a time.Duration holds; %s", s, forNoEnd)
	}
	return positive(time.Duration(max(s, 0))*time.Second, s)
}

// positive returns d, which was given as p.
func positive(d time.Duration, p any) (time.Duration, error) {
	if d <= 0 {
		return 0, fmt.Errorf("%v is not a positive time; %s, %s", p, forNoEnd, forNothing)
	}
	return d, nil
}
