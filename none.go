package zodiac

import (
	"errors"
	"reflect"
)

// ErrNone means that the key is known not to exist. It is the error of a None: an entry that SetNone
// has stored, or a fetch that returned ErrNone or an error named by [NoneIf]. The error named matches
// too: errors.Is(err, ErrNone) and errors.Is(err, sql.ErrNoRows) both hold.
var ErrNone = errors.New("zodiac: none: the key is known not to exist")

// A Kind says what an entry holds.
type Kind uint8

// The kinds of entries.
const (
	KindValue Kind = iota // a value, zero values included
	KindNil               // a nil pointer or a nil interface
	KindNone              // nothing: the key is known not to exist
)

// String returns "value", "nil" or "none".
func (k Kind) String() string {
	switch k {
	case KindNil:
		return "nil"
	case KindNone:
		return "none"
	default:
		return "value"
	}
}

// A noneError is the None of one error given to NoneIf.
type noneError struct{ is error }

func (e *noneError) Error() string   { return "zodiac: none: " + e.is.Error() }
func (e *noneError) Unwrap() []error { return []error{ErrNone, e.is} }

// nones are the errors that mean "does not exist".
type nones []*noneError

// match returns the readers' error for err, or nil if err does not mean that the key does not exist.
func (n nones) match(err error) error {
	if _, panicked := errors.AsType[*PanicError](err); panicked { // of an inner loader, whatever its value
		return nil
	}
	for _, none := range n {
		if errors.Is(err, none.is) {
			return none
		}
	}
	if inner, ok := errors.AsType[*noneError](err); ok { // of an inner loader
		return inner
	}
	if errors.Is(err, ErrNone) {
		return ErrNone
	}
	return nil
}

// errors returns the errors that were given to NoneIf.
func (n nones) errors() (errs []error) {
	for _, none := range n {
		errs = append(errs, none.is)
	}
	return errs
}

// byText returns the error of a None that was stored with the text of an error.
func (n nones) byText(text string) error {
	for _, none := range n {
		if none.is.Error() == text && none.is != ErrNone { //nolint:errorlint // ErrNone itself needs no wrapping
			return none
		}
	}
	return ErrNone
}

// textOfNone returns the text by which byText finds a None again.
func textOfNone(none error) string {
	if n, ok := none.(*noneError); ok { //nolint:errorlint // see isNone
		return n.is.Error()
	}
	return ""
}

// isNone reports whether err is the error of a None. An error that merely matches ErrNone, such as
// that of a panic with it, is not.
func isNone(err error) bool {
	if err == ErrNone { //nolint:errorlint // see above
		return true
	}
	_, ok := err.(*noneError) //nolint:errorlint // see above
	return ok
}

// nilTest returns a function that tells a nil pointer or nil interface from other values of V, or nil
// if V has neither. A nil inside an interface that is not nil is a value.
func nilTest[V any]() func(V) bool {
	switch reflect.TypeFor[V]().Kind() {
	case reflect.Interface:
		return func(v V) bool { return any(v) == nil }
	case reflect.Pointer:
		return func(v V) bool { return reflect.ValueOf(v).IsNil() }
	default:
		return nil
	}
}
