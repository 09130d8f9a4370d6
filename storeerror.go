package zodiac

import "fmt"

// A StoreError says that an operation of a [Store] failed. Whether it was carried out, or will be, is not known. Loaders go on
// without the store and tell the [Observer]; methods that write return it, and with FailClosed all do.
type StoreError struct {
	Loader string // the name of the loader
	Op     string // the method of the Store that was called: "Get", "Commit"
	Err    error  // what it returned
}

func (e *StoreError) Error() string {
	return fmt.Sprintf("zodiac: loader %q: %s of the store: %v (whether it was done is not known; check that the store is up, "+
		"and try again)", e.Loader, e.Op, e.Err)
}

func (e *StoreError) Unwrap() error { return e.Err }
