package driver

import (
	"fmt"
	"slices"
	"strings"
)

// KeyErrors is the error of a method about many keys that has failed for some of them: why, for each
// of these. For the other keys the method is done. A nil error says that it is done for all.
type KeyErrors map[string]error //nolint:errname // it is several

// Error returns how many keys have failed, and each reason once. It names no key, since keys may be
// secret.
func (e KeyErrors) Error() string {
	reasons := make(map[string]bool, 1)
	for _, err := range e {
		reasons[err.Error()] = true
	}
	texts := make([]string, 0, len(reasons))
	for text := range reasons {
		texts = append(texts, text)
	}
	slices.Sort(texts)
	return fmt.Sprintf("%d keys failed: %s", len(e), strings.Join(texts, "; "))
}

// OrNil returns e as an error, which is nil if no key has failed.
func (e KeyErrors) OrNil() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// Unwrap returns the errors, in no order.
func (e KeyErrors) Unwrap() []error {
	errs := make([]error, 0, len(e))
	for _, err := range e {
		errs = append(errs, err)
	}
	return errs
}
