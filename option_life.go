package zodiac

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/zodiac-go/zodiac/internal/negative"
	"github.com/zodiac-go/zodiac/internal/tier"
)

type ttlOption struct {
	d   time.Duration
	err error
}

func (o ttlOption) apply(c *config) {
	if o.err != nil {
		c.fault("WithTTL", o.err)
		return
	}
	c.ttl = o.d
}

func (o ttlOption) applySet(s *setting) {
	if o.err != nil {
		s.faults = append(s.faults, fmt.Errorf("WithTTL: %w", o.err))
		return
	}
	s.ttl = o.d
}

// WithTTL sets how long an entry lives, counted from when it is stored: WithTTL(60) is 60 seconds,
// WithTTL(time.Minute) is a minute. As a SetOption it is for the entries of that call, and beats
// [WithTTLFunc]. By default entries live until they are evicted.
func WithTTL[P Period](p P) SetOption {
	d, err := duration(p)
	return ttlOption{d, err}
}

// WithTTLFunc sets how long each value lives. A result under a millisecond, zero and negative ones
// included, means that the value is not stored, and that an old one is removed. A None lives as
// [WithNoneTTL] or [WithTTL] says. ttl runs on the goroutine of the fetch, or of the caller of Set.
// If it panics, the callers get a [*PanicError]. By default WithTTL applies to all values.
func WithTTLFunc[K comparable, V any](ttl func(K, V) time.Duration) Option {
	return function("WithTTLFunc", ttl, func(c *config) *any { return &c.ttlFunc })
}

// WithJitter shortens every lifetime by a random part, up to f of it, so that entries that are
// stored together do not expire together; 0 ≤ f < 1. By default lifetimes are exact.
func WithJitter(f float64) Option {
	return option(func(c *config) {
		if math.IsNaN(f) || f < 0 || f >= 1 {
			c.fault("WithJitter", fmt.Errorf("%v is not a part of the lifetime; give 0 ≤ f < 1, such as 0.1", f))
			return
		}
		c.jitter = f
	})
}

// WithSliding extends an entry's life each time it is used, to the lifetime that it was stored
// with, but at most once per eighth of that. Get and GetMany use an entry. Peek and Entry do not,
// and neither do reads under ReadOnly or NoWrite. By default entries end when their time is over.
func WithSliding() Option {
	return option(func(c *config) { c.sliding = true })
}

// WithNoneTTL sets how long a None lives. By default a None lives as long as [WithTTL] says.
func WithNoneTTL[P Period](p P) Option {
	return periodOption("WithNoneTTL", p, func(c *config) *time.Duration { return &c.noneTTL })
}

// WithErrorTTL remembers the error of a fetch for p: with errs only an error that matches one of
// them, by errors.Is, else any. Over a store, an error of another process has the text it had there
// and matches what errs named; the process that fetched gets the very error. No two of errs may have
// one text. During that time callers get it as a
// [*RememberedError], and nothing is fetched, so that a source that is down is not overloaded. Any
// write or Delete of the key ends it, and so do Clear, and DeleteTags of a tag of the loader. Errors
// of contexts, panics and zodiac's own errors are never remembered. A remembered error is no entry:
// Peek, Len and SetIfAbsent do not see it. [WithCapacity] bounds the remembered errors too, apart
// from the entries. By default every call fetches again.
func WithErrorTTL[P Period](p P, errs ...error) Option {
	errs = slices.Clone(errs)
	period := periodOption("WithErrorTTL", p, func(c *config) *time.Duration { return &c.errorTTL })
	return option(func(c *config) {
		period.apply(c)
		if slices.Contains(errs, nil) {
			c.fault("WithErrorTTL", errors.New("one of the errors is nil"))
		} else if err := negative.SameText(errs); err != nil {
			c.fault("WithErrorTTL", err)
		}
		c.errorsNamed = errs
	})
}

// WithCapacity sets how many entries memory holds at most. Nothing is evicted while there are fewer
// than n. By default the capacity is 65,536.
func WithCapacity(n int) Option {
	return option(func(c *config) {
		if n <= 0 || n > tier.MaxCapacity {
			c.fault("WithCapacity", fmt.Errorf("%d is not between 1 and %d", n, tier.MaxCapacity))
			return
		}
		c.capacity, c.capacityGiven = n, true
	})
}
