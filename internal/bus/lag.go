package bus

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// A Lag is a histogram of durations, in 1 kB. The zero Lag is empty. It is safe for concurrent use.
//
// There are four buckets between a power of two and the next, in microseconds. So a quantile is at
// most a fifth too large.
type Lag struct{ buckets [128]atomic.Uint64 }

// Add adds a duration. One that is negative, since two clocks differ, counts as nothing.
func (l *Lag) Add(d time.Duration) { l.buckets[bucketOf(d)].Add(1) }

func bucketOf(d time.Duration) int {
	us := uint64(max(0, d.Microseconds()))
	if us < 4 {
		return int(us)
	}
	octave := bits.Len64(us) - 3 // us >> octave is 4 to 7
	return min(4*octave+int(us>>octave), len(Lag{}.buckets)-1)
}

// upper returns the least duration above those of a bucket.
func upper(bucket int) time.Duration {
	bucket++
	if bucket < 4 {
		return time.Duration(bucket) * time.Microsecond
	}
	octave := bucket/4 - 1
	return time.Duration(4+bucket%4) << octave * time.Microsecond
}

// Quantiles returns the duration that a part of those added do not exceed, for each part from 0 to
// 1. It is the upper end of a bucket, or 0 if nothing was added.
func (l *Lag) Quantiles(parts ...float64) []time.Duration {
	var counts [len(l.buckets)]uint64
	var sum uint64
	for i := range counts {
		counts[i] = l.buckets[i].Load()
		sum += counts[i]
	}
	found := make([]time.Duration, len(parts))
	for i, part := range parts {
		seen, want := uint64(0), uint64(part*float64(sum))
		for bucket, n := range counts {
			if seen += n; n > 0 && seen >= max(1, want) {
				found[i] = upper(bucket)
				break
			}
		}
	}
	return found
}
