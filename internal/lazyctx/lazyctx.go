// Package lazyctx has a context that costs nothing until somebody calls Done.
package lazyctx

import (
	"context"
	"sync"
	"time"
)

// A Context has the values of another context, and an end of its own. It makes a context of the
// standard library's for that end only when somebody asks for Done. Many functions never do.
//
// Set Values before use. A Context must not be copied. It is safe for concurrent use.
type Context struct {
	Values context.Context // its end and deadline do not count

	mu    sync.Mutex // guards the fields below
	std   context.Context
	stop  context.CancelFunc
	ended bool
}

// Deadline returns the end that Limit has set.
func (c *Context) Deadline() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.std == nil {
		return time.Time{}, false
	}
	return c.std.Deadline()
}

// Done returns a channel that is closed when the context ends.
func (c *Context) Done() <-chan struct{} { return c.end().Done() }

// Err returns why the context has ended, or nil.
func (c *Context) Err() error {
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
func (c *Context) Value(key any) any {
	c.mu.Lock()
	std := c.std
	c.mu.Unlock()
	if std != nil { // whoever looks for the end has asked for Done before
		if v := std.Value(key); v != nil {
			return v
		}
	}
	return c.Values.Value(key)
}

// end returns the context that ends.
func (c *Context) end() context.Context {
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

// Limit makes the context end after d, if it has not ended before. A channel that Done has returned
// earlier is closed by Cancel alone.
func (c *Context) Limit(d time.Duration) {
	end := c.end()
	c.mu.Lock()
	defer c.mu.Unlock()
	outer := c.stop
	var inner context.CancelFunc
	c.std, inner = context.WithTimeout(end, d)
	c.stop = func() { inner(); outer() }
}

// Cancel ends the context.
func (c *Context) Cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.stop != nil {
		c.stop()
	}
}
