package zodiac

import (
	"errors"
	"reflect"
)

// ErrNone means that the key is known not to exist. It is what a reader gets for a None: an entry stored by
// SetNone, or because the fetch returned an error named by [NoneIf], or ErrNone itself. An error of NoneIf matches
// beside it: errors.Is(err, ErrNone) and errors.Is(err, sql.ErrNoRows) both hold.
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

// match returns what readers get instead of err, or nil if err does not mean that the key does not exist.
func (n nones) match(err error) error {
	if _, panicked := errors.AsType[*PanicError](err); panicked { // of a loader within the fetch, whatever with
		return nil
	}
	for _, none := range n {
		if errors.Is(err, none.is) {
			return none
		}
	}
	if inner, ok := errors.AsType[*noneError](err); ok { // of a loader within the fetch
		return inner
	}
	if errors.Is(err, ErrNone) {
		return ErrNone
	}
	return nil
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

// textOfNone is what byText finds a None again by.
func textOfNone(none error) string {
	if n, ok := none.(*noneError); ok { //nolint:errorlint // see isNone
		return n.is.Error()
	}
	return ""
}

// isNone reports whether err is what readers of a None get. An error that merely matches ErrNone, such as that of
// a panic with it, is not.
func isNone(err error) bool {
	if err == ErrNone { //nolint:errorlint // see above
		return true
	}
	_, ok := err.(*noneError) //nolint:errorlint // see above
	return ok
}

// nilTest returns a function that tells the nil pointer and the nil interface from other values of V, or nil if V has
// neither. A nil inside an interface that is not nil is a value.
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
