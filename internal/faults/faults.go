// Package faults marks errors of a store that several commands have together, so that one fault is counted once.
package faults

import "errors"

// A shared error is one that another command reports too.
type shared struct{ error }

func (s shared) Unwrap() error { return s.error }

// Shared returns err as one that another command reports too. It stays what it is to errors.Is and errors.As.
func Shared(err error) error {
	if err == nil {
		return nil
	}
	return shared{err}
}

// IsShared reports whether Shared has made err.
func IsShared(err error) bool {
	_, ok := errors.AsType[shared](err)
	return ok
}
