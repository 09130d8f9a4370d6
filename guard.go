package zodiac

import (
	"context"
	"runtime/debug"
)

// guard calls f, a function the user gave to option, on the caller's goroutine. A panic comes back as a *PanicError.
func (c *Cache[K, V]) guard(option string, f func()) (err error) {
	returned := false
	defer func() {
		if !returned {
			if r := recover(); r != nil { // nil for Goexit, which ends the caller's own goroutine as it wants
				err = c.panicked(option, r)
			}
		}
	}()
	f()
	returned = true
	return nil
}

// panicked returns the error for a function that panicked with value, or called Goexit if that is nil, and logs it.
func (c *Cache[K, V]) panicked(in string, value any) *PanicError {
	p := &PanicError{Value: value, Stack: debug.Stack(), Goexit: value == nil, In: in, Loader: c.set.name}
	if c.set.logger != nil {
		c.set.logger.Error("zodiac: panic", "loader", p.Loader, "in", p.In, "value", p.Value, "goexit", p.Goexit, "stack", string(p.Stack))
	}
	return p
}

// observe tells the Observer. It is the last thing its goroutine does for the cache, so not even an Observer that
// panics or exits harms anybody.
func (c *Cache[K, V]) observe(ctx context.Context, e Event) {
	if c.set.observer == nil {
		return
	}
	e.Loader = c.set.name
	_ = c.guard("WithObserver", func() { c.set.observer.Observe(ctx, e) }) // logged; there is nobody to tell
}

// fault reports what callers do not, or not only, get as an error.
func (c *Cache[K, V]) fault(ctx context.Context, key K, err error) {
	if c.set.logger != nil {
		c.set.logger.Warn("zodiac: fault", "loader", c.set.name, "error", err)
	}
	c.observe(ctx, Event{Kind: EventFault, Key: key, Err: err})
}
