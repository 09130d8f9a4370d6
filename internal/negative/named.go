package negative

import (
	"errors"
	"fmt"
	"strings"
)

// Named are the errors that are remembered. If there are none, all errors are.
type Named []error

// Remembers reports whether err is remembered.
func (n Named) Remembers(err error) bool { return len(n) == 0 || n.match(err) != nil }

func (n Named) match(err error) error {
	for _, named := range n {
		if errors.Is(err, named) {
			return named
		}
	}
	return nil
}

// Text returns the text by which another process knows err again: the text of the error that is
// named, a NUL, and the text of err; or the latter alone if none is named and it has no NUL. An Error
// method may panic, which fmt survives.
func (n Named) Text(err error) string {
	text := fmt.Sprint(err)
	if named := n.match(err); named != nil {
		return named.Error() + "\x00" + text
	}
	if strings.Contains(text, "\x00") {
		return "\x00" + text
	}
	return text
}

// Error returns the error of a text, or nil if it is not remembered here.
func (n Named) Error(text string) error {
	name, rest, cut := strings.Cut(text, "\x00")
	if !cut {
		rest = text
	}
	for _, named := range n {
		if cut && named.Error() == name {
			return &namedError{named, rest}
		}
	}
	if len(n) > 0 {
		return nil
	}
	return errors.New(rest)
}

// A namedError is an error of another process that matches one that is named here.
type namedError struct {
	error
	text string
}

func (e *namedError) Error() string { return e.text }
func (e *namedError) Unwrap() error { return e.error }

// SameText returns an error if two of errs have one text: nobody could tell which of them was
// remembered in a store.
func SameText(errs []error) error {
	for i, err := range errs {
		for _, other := range errs[:i] {
			if err.Error() == other.Error() && (!errors.Is(err, other) || !errors.Is(other, err)) {
				return errors.New("two errors have the text \"" + err.Error() + "\", by which a store tells them apart; give one of them another")
			}
		}
	}
	return nil
}
