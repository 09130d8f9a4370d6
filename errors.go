package zodiac

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/zodiac-go/zodiac/internal/flight"
	"github.com/zodiac-go/zodiac/internal/remote"
)

var (
	// ErrMiss is returned by a read that may not fetch and finds no usable entry: see [ReadOnly].
	ErrMiss = errors.New("zodiac: not cached, and ReadOnly forbids fetching")

	// ErrClosed is returned by every method of a closed Loader or Cache, except Fetch, and Get
	// under [Bypass].
	ErrClosed = flight.ErrClosed

	// ErrCycle is returned to a fetch that asks for the key it is fetching, directly or through
	// the fetches of other keys and loaders. It would wait for itself for ever. Ask for another
	// key, or use [Bypass]. The function of an Update gets it if it updates its own key, and one of
	// two Updates if each waits for the other's key.
	ErrCycle = flight.ErrCycle

	// ErrBusy is returned by Update and Add if other writes of the key came in between sixteen
	// times. Nothing was changed; try again later. Get returns it if another process has been
	// fetching the key for longer than [WithWait] allows.
	ErrBusy = remote.ErrBusy

	// ErrTooLarge is returned by methods that store a value whose record is larger than
	// [WithMaxBytes] allows. Nothing was changed.
	ErrTooLarge = errors.New("zodiac: the record is too large")

	// ErrOverflow is returned by Add if the sum is out of the number's range, infinite or NaN.
	// Nothing was changed.
	ErrOverflow = errors.New("zodiac: the sum is out of range")

	// ErrRemembered matches an error that the fetch did not return just now, but that is
	// remembered since an earlier fetch: see [WithErrorTTL].
	ErrRemembered = errors.New("zodiac: remembered error of an earlier fetch")
)

// A KeyError says that a key has no text, and so no slot: it holds a NaN, or its MarshalText failed.
type KeyError struct {
	Loader string // the name of the loader
	Op     string // the method that was called
	Err    error  // what is wrong with the key
}

func (e *KeyError) Error() string {
	return fmt.Sprintf("zodiac: loader %q: %s: key cannot be cached: %v", e.Loader, e.Op, e.Err)
}

func (e *KeyError) Unwrap() error { return e.Err }

// A RememberedError is the error of callers that come after a fetch that failed, under
// [WithErrorTTL]. It matches [ErrRemembered] and the error of that fetch.
type RememberedError struct {
	Err error // the error of the fetch
}

func (e *RememberedError) Error() string { return "zodiac: remembered: " + e.Err.Error() }

func (e *RememberedError) Unwrap() []error { return []error{ErrRemembered, e.Err} }

// A ManyError is returned by GetMany and SetMany if some keys failed. The other keys are done, and
// GetMany returns their values beside it.
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

// note adds the error of a method about one of the keys, if it is not nil.
func (e *ManyError[K]) note(key K, err error) {
	if _, rejected := errors.AsType[*KeyError](err); rejected {
		e.Rejected = append(e.Rejected, err)
	} else if err != nil {
		e.add(key, err)
	}
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

// A SettingError lists what is wrong with the options given to a constructor or to a method. Unwrap
// returns one error for each wrong setting. Each begins with the name of the option, or says what
// is wrong with K, or which option is nil.
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

// A StoreError says that an operation of a [Store] failed. Loaders go on without the store and tell
// the [Observer]. Methods that write return it, and with [FailClosed] methods that read do too. A
// write that failed may have been carried out, or may be carried out later.
type StoreError struct {
	Loader string // the name of the loader
	Op     string // the method of the Store: "Get", "Commit"
	Err    error  // the error that it returned
}

func (e *StoreError) Error() string {
	text := fmt.Sprintf("zodiac: loader %q: %s of the store: %v", e.Loader, e.Op, e.Err)
	if f := (&remote.OpError{Op: e.Op, Err: e.Err}); f.Unknown() {
		text += " (it may still be carried out; check that the store is up, and try again)"
	}
	return text
}

func (e *StoreError) Unwrap() error { return e.Err }

// isLibraryError reports whether err is about the call or the library rather than the origin. Such
// errors are never remembered.
func isLibraryError(err error) bool {
	is := func(target error) bool { return errors.Is(err, target) }
	if slices.ContainsFunc([]error{
		context.Canceled, context.DeadlineExceeded, ErrMiss, ErrClosed, ErrCycle, ErrBusy, ErrTooLarge, ErrOverflow, ErrRemembered,
	}, is) {
		return true
	}
	_, panicked := errors.AsType[*PanicError](err)
	_, setting := errors.AsType[*SettingError](err)
	_, key := errors.AsType[*KeyError](err)
	_, store := errors.AsType[*StoreError](err)
	_, codec := errors.AsType[*CodecError](err)
	return panicked || setting || key || store || codec
}
