package zodiac

import (
	"context"
	"log/slog"
	"runtime/debug"
)

// guard calls f, a function the user gave to option, on the caller's goroutine. A panic comes back as a *PanicError, and
// is logged. Goexit ends the caller's goroutine, as it wants.
func (c *core) guard(option string, f func()) error {
	err := c.guarded(option, f)
	if err != nil {
		c.logPanic(err)
	}
	return err
}

// guarded is guard that leaves the log to the caller.
func (c *core) guarded(option string, f func()) (err error) {
	returned := false
	defer func() {
		if !returned {
			if r := recover(); r != nil { // nil for Goexit
				err = c.panicked(option, r)
			}
		}
	}()
	f()
	returned = true
	return nil
}

// panicked returns the error for a function that panicked with value, or called Goexit if that is nil.
func (c *core) panicked(in string, value any) error {
	return &PanicError{Value: value, Stack: debug.Stack(), Goexit: value == nil, In: in, Loader: c.name}
}

// logPanic logs err if it is a *PanicError.
func (c *core) logPanic(err error) {
	if p, ok := err.(*PanicError); ok { //nolint:errorlint // one that another loader has logged may be wrapped in err
		c.log(slog.LevelError, "zodiac: panic", "in", p.In, "value", p.Value, "goexit", p.Goexit, "stack", string(p.Stack))
	}
}

// log writes to the logger, if there is one. A handler that panics harms nobody.
func (c *core) log(level slog.Level, msg string, args ...any) {
	if c.logger == nil {
		return
	}
	_ = c.guarded("WithLogger", func() {
		c.logger.Log(context.Background(), level, msg, append([]any{"loader", c.name}, args...)...)
	})
}

// observe tells the Observer. The event's context goes on after the fetch's has ended.
func (c *core) observe(ctx context.Context, e Event) {
	if c.observer == nil {
		return
	}
	e.Loader = c.name
	_ = c.guard("WithObserver", func() { c.observer.Observe(context.WithoutCancel(ctx), e) }) // nobody else to tell
}

// fault reports what callers do not, or not only, get as an error.
func (c *core) fault(ctx context.Context, key any, err error) {
	c.log(slog.LevelWarn, "zodiac: fault", "error", err)
	c.observe(ctx, Event{Kind: EventFault, Key: key, Err: err})
}
