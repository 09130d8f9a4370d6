package zodiac

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/zodiac-go/zodiac/internal/tier"
)

// WithCapacity sets how many entries memory holds at most. From 1,024 on, the capacity is divided
// among parts of the key space, so entries may be evicted while there are slightly fewer than n. By
// default the capacity is 65,536.
func WithCapacity(n int) Option {
	return option(func(c *config) {
		if n <= 0 || n > tier.MaxCapacity {
			c.fault("WithCapacity", fmt.Errorf("%d is not between 1 and %d", n, tier.MaxCapacity))
			return
		}
		c.capacity, c.capacityGiven = n, true
	})
}

// WithFetchTimeout limits how long a fetch may take. When the time is over, its context ends, and
// its callers get an error that matches context.DeadlineExceeded, whether or not the fetch function
// returns. A later result is discarded; Close waits for it. By default there is no limit while a
// caller waits.
func WithFetchTimeout[P Period](p P) Option {
	return period("WithFetchTimeout", p, func(c *config) *time.Duration { return &c.fetchTimeout })
}

// WithObserver sets who is told about fetches and faults. By default nobody is.
func WithObserver(o Observer) Option {
	return option(func(c *config) {
		if o == nil {
			c.fault("WithObserver", errors.New("the observer is nil"))
			return
		}
		c.observer = o
	})
}

// WithLogger sets where panics are logged, as errors, and faults, as warnings. By default nothing is
// logged.
func WithLogger(l *slog.Logger) Option {
	return option(func(c *config) {
		if l == nil {
			c.fault("WithLogger", errors.New("the logger is nil"))
			return
		}
		c.logger = l
	})
}
