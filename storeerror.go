package zodiac

import "fmt"

// A StoreError says that an operation on a store failed. Whether it was carried out is not known. The [Observer] is told; callers
// get it from methods that write, and from those that read only with FailClosed.
type StoreError struct {
	Loader string // the name of the loader
	Op     string // the method of the Store: "Get", "Acquire"
	Err    error  // what the Store returned
}

func (e *StoreError) Error() string {
	return fmt.Sprintf("zodiac: loader %q: the store's %s failed: %v", e.Loader, e.Op, e.Err)
}

func (e *StoreError) Unwrap() error { return e.Err }
