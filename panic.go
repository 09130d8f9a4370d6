package zodiac

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"

	"github.com/zodiac-go/zodiac/internal/faultlog"
)

// A PanicError is returned to every caller of a fetch that panicked or called runtime.Goexit, and
// to the caller of a method whose option's function panicked. If the panic value is an error, Unwrap
// returns it.
//
// Error returns one line. The format %+v adds the stack.
type PanicError struct {
	Value  any    // the argument of panic; nil for Goexit
	Stack  []byte // of the goroutine that panicked
	Goexit bool   // runtime.Goexit was called; there is no panic value
	In     string // the function: "the fetch", or the option, such as "SkipIf"
	Loader string // the name of the loader
}

func (e *PanicError) Error() string {
	if e.Goexit {
		return fmt.Sprintf("zodiac: loader %q: %s called runtime.Goexit", e.Loader, e.In)
	}
	value := strings.Join(strings.Fields(fmt.Sprint(e.Value)), " ")
	return fmt.Sprintf("zodiac: loader %q: %s panicked: %s", e.Loader, e.In, value)
}

// Format implements fmt.Formatter. %+v writes Error and the stack, %q quotes Error, and every other
// verb writes Error.
func (e *PanicError) Format(s fmt.State, verb rune) {
	switch {
	case verb == 'v' && s.Flag('+'):
		_, _ = fmt.Fprintf(s, "%s\n\n%s", e.Error(), e.Stack)
	case verb == 'q':
		_, _ = fmt.Fprintf(s, "%q", e.Error())
	default:
		_, _ = fmt.Fprint(s, e.Error())
	}
}

func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// guard calls f, a function that the user gave to option, on the caller's goroutine. It returns a
// panic as a *PanicError, and logs it. Goexit ends the caller's goroutine, as it is meant to.
func (c *core) guard(option string, f func()) error {
	err := c.guarded(option, f)
	if err != nil {
		c.logPanic(err)
	}
	return err
}

// guarded is guard without the log.
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

// panicked returns the error for a function that panicked with value, or called Goexit if it is nil.
func (c *core) panicked(in string, value any) error {
	return &PanicError{Value: value, Stack: debug.Stack(), Goexit: value == nil, In: in, Loader: c.name}
}

// logPanic logs err if it is a *PanicError.
func (c *core) logPanic(err error) {
	if p, ok := err.(*PanicError); ok { //nolint:errorlint // a wrapped one was logged by another loader
		c.reporter.Fault(slog.LevelError, func() string { return "panic: " + faultlog.Kind(err) },
			"zodiac: panic", "in", p.In, "value", p.Value, "goexit", p.Goexit, "stack", string(p.Stack))
	}
}
