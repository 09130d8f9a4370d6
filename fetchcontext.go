package zodiac

import (
	"context"
	"sync"
	"time"

	"github.com/zodiac-go/zodiac/internal/flight"
)

// A fetchContext is the context of a fetch. It has the values of the caller who began the flight,
// and an end of its own: when the flight is abandoned, its time is over, or its outcome is known.
// It makes a context of the standard library's for that end only when somebody asks for Done. Many
// fetch functions never do.
type fetchContext struct {
	values context.Context
	inner  *callState
	within flight.Link

	mu    sync.Mutex // guards the fields below
	std   context.Context
	stop  context.CancelFunc
	ended bool
}

// Deadline returns when WithFetchTimeout ends the context.
func (c *fetchContext) Deadline() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.std == nil {
		return time.Time{}, false
	}
	return c.std.Deadline()
}

// Done returns a channel that is closed when the context ends.
func (c *fetchContext) Done() <-chan struct{} { return c.end().Done() }

// Err returns why the context has ended, or nil.
func (c *fetchContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.std != nil {
		return c.std.Err()
	}
	if c.ended {
		return context.Canceled
	}
	return nil
}

// Value asks the context that ends first. So a context that is derived from this one finds it, and
// needs no goroutine to watch for the end.
func (c *fetchContext) Value(key any) any {
	switch key.(type) {
	case stateKey:
		return c.inner
	case linkKey:
		return &c.within
	}
	c.mu.Lock()
	std := c.std
	c.mu.Unlock()
	if std != nil { // whoever looks for the end has asked for Done before
		if v := std.Value(key); v != nil {
			return v
		}
	}
	return c.values.Value(key)
}

// end returns the context that ends.
func (c *fetchContext) end() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.std == nil {
		c.std, c.stop = context.WithCancel(context.Background())
		if c.ended {
			c.stop()
		}
	}
	return c.std
}

// limit makes the context end after d, if it has not ended before.
func (c *fetchContext) limit(d time.Duration) {
	end := c.end()
	c.mu.Lock()
	defer c.mu.Unlock()
	outer := c.stop
	var inner context.CancelFunc
	c.std, inner = context.WithTimeout(end, d)
	c.stop = func() { inner(); outer() }
}

func (c *fetchContext) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.stop != nil {
		c.stop()
	}
}

type linkKey struct{}

// linkOf returns the flight that ctx belongs to, or nil.
func linkOf(ctx context.Context) *flight.Link {
	l, _ := ctx.Value(linkKey{}).(*flight.Link)
	return l
}
