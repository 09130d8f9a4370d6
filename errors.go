package zodiac

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/flight"
)

var (
	// ErrMiss is what a read gets that may not fetch and finds nothing: see [ReadOnly].
	ErrMiss = driver.ErrMiss

	// ErrClosed is returned by every method of a closed Loader or Cache, but Fetch, and Get under [Bypass].
	ErrClosed = flight.ErrClosed

	// ErrCycle is returned to a fetch that, directly or through the fetches of other keys and loaders, asks for the key
	// it is fetching: it would wait for itself for ever. Ask for another key, or use [Bypass].
	ErrCycle = flight.ErrCycle

	// ErrBusy is returned by Update and Add when other writes of the key came in between sixteen times; nothing was
	// changed, try again later. Get returns it when another process has been fetching the key for longer than [WithWait] allows.
	ErrBusy = errors.New("zodiac: busy: others keep writing or fetching the key")

	// ErrTooLarge is returned by methods that store a value whose record is larger than [WithMaxBytes] allows. Nothing was
	// changed.
	ErrTooLarge = errors.New("zodiac: the record is too large")

	// ErrOverflow is returned by Add when the sum is out of the number's range, infinite or NaN. Nothing was changed.
	ErrOverflow = errors.New("zodiac: the sum is out of range")

	// ErrRemembered matches an error that was not just returned by the fetch but remembered since an earlier one:
	// see [WithErrorTTL].
	ErrRemembered = errors.New("zodiac: remembered error of an earlier fetch")
)

// A PanicError is returned to every caller of a fetch that panicked or called runtime.Goexit, and to the caller of a
// method whose option's function panicked. If the panic value is an error, it is what Unwrap returns.
type PanicError struct {
	Value  any    // what panic was called with; nil for Goexit
	Stack  []byte // of the goroutine that panicked
	Goexit bool   // runtime.Goexit was called; there is no panic value
	In     string // what was running: "the fetch", or the option, such as "SkipIf"
	Loader string // the name of the loader
}

func (e *PanicError) Error() string {
	if e.Goexit {
		return fmt.Sprintf("zodiac: loader %q: %s called runtime.Goexit", e.Loader, e.In)
	}
	return fmt.Sprintf("zodiac: loader %q: %s panicked: %v\n\n%s", e.Loader, e.In, e.Value, e.Stack)
}

func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// A KeyError says that a key has no text, and so no place in a cache: it holds NaN, or its MarshalText failed.
type KeyError struct {
	Loader string // the name of the loader
	Op     string // the method that was called
	Err    error  // what is wrong with the key
}

func (e *KeyError) Error() string {
	return fmt.Sprintf("zodiac: loader %q: %s: key cannot be cached: %v", e.Loader, e.Op, e.Err)
}

func (e *KeyError) Unwrap() error { return e.Err }

// A RememberedError is what later callers get for a fetch that failed before, under [WithErrorTTL]. It matches
// [ErrRemembered] and the error of that fetch.
type RememberedError struct {
	Err error // what the fetch returned
}

func (e *RememberedError) Error() string { return "zodiac: remembered: " + e.Err.Error() }

func (e *RememberedError) Unwrap() []error { return []error{ErrRemembered, e.Err} }

// A ManyError is returned by GetMany and SetMany when some keys failed; the others are done, and GetMany returns their
// values beside it.
type ManyError[K comparable] struct {
	Errors   map[K]error // by key; nil if there are none
	Rejected []error     // keys without text, which cannot be in a map: see [KeyError]
}

func (e *ManyError[K]) Error() string {
	errs := e.Unwrap()
	if len(errs) == 1 {
		return errs[0].Error()
	}
	return fmt.Sprintf("%v (and %d more keys failed)", errs[0], len(errs)-1)
}

func (e *ManyError[K]) add(key K, err error) {
	if e.Errors == nil {
		e.Errors = make(map[K]error)
	}
	e.Errors[key] = err
}

// orNil returns e if it has errors.
func (e *ManyError[K]) orNil() error {
	if len(e.Errors)+len(e.Rejected) == 0 {
		return nil
	}
	return e
}

// Unwrap returns all errors, those of rejected keys last.
func (e *ManyError[K]) Unwrap() []error {
	errs := make([]error, 0, len(e.Errors)+len(e.Rejected))
	for _, err := range e.Errors {
		errs = append(errs, err)
	}
	return append(errs, e.Rejected...)
}

// A SettingError lists what is wrong with the options given to a constructor or to a method. Unwrap returns
// one error for each wrong setting, beginning with the option's name (or saying what is wrong with K, or which option is nil).
type SettingError struct {
	Of     string // the constructor or the method, and the loader if it has a name
	Faults []error
}

func (e *SettingError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "zodiac: %s: wrong settings:", e.Of)
	for _, f := range e.Faults {
		b.WriteString("\n\t" + f.Error())
	}
	return b.String()
}

func (e *SettingError) Unwrap() []error { return e.Faults }

// ours reports whether err is about the call or the library rather than the origin: such errors are never remembered.
func ours(err error) bool {
	for _, e := range []error{context.Canceled, context.DeadlineExceeded, ErrMiss, ErrClosed, ErrCycle, ErrBusy, ErrOverflow, ErrRemembered} {
		if errors.Is(err, e) {
			return true
		}
	}
	if _, ok := errors.AsType[*PanicError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*SettingError](err); ok {
		return true
	}
	_, ok := errors.AsType[*KeyError](err)
	return ok
}
