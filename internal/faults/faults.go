// Package faults distinguishes the error of one command of a store from an error that several
// commands have in common, so that a fault of the store is counted once.
//
// A store that sends the commands of several callers together returns the error to one caller as it
// is, and to the others as a shared one. A caller that counts faults leaves shared errors
// out.
package faults

import "errors"

// A shared error is one that another command has returned too.
type shared struct{ error }

func (s shared) Unwrap() error { return s.error }

// Shared returns err as an error that another command has returned too. errors.Is and errors.As
// find err in it. Shared(nil) is nil.
func Shared(err error) error {
	if err == nil {
		return nil
	}
	return shared{err}
}

// IsShared reports whether err is an error that Shared has returned, or wraps one.
func IsShared(err error) bool {
	_, ok := errors.AsType[shared](err)
	return ok
}
