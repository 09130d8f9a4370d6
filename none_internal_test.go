package zodiac

// In-package: a loader for each of these types would cost seconds of compilation.

import (
	"io"
	"reflect"
	"testing"
	"unsafe"
)

func TestOnlyANilPointerAndANilInterfaceAreNil(t *testing.T) {
	type pointer *int
	wantNil[*int](t, true, nil)
	wantNil[pointer](t, true, nil)
	wantNil[any](t, true, nil)
	wantNil[error](t, true, nil)
	wantNil[io.Reader](t, true, nil)

	wantNil(t, false, new(int))
	wantNil(t, false, new(*int))
	wantNil[pointer](t, false, new(int))
	wantNil[any](t, false, 0, "", struct{}{}, (*int)(nil), []int(nil), map[int]int(nil), (func())(nil))
	wantNil[error](t, false, ErrMiss, (*KeyError)(nil))
	wantNil(t, false, 0, 1)
	wantNil(t, false, "", "x")
	wantNil(t, false, false, true)
	wantNil(t, false, 0.0)
	wantNil(t, false, struct{}{})
	wantNil(t, false, struct{ P *int }{})
	wantNil(t, false, [1]*int{})
	wantNil(t, false, nil, []int{}, []int{1})
	wantNil(t, false, nil, map[string]int{}, map[string]int{"": 0})
	wantNil[func()](t, false, nil, func() {})
	wantNil[chan int](t, false, nil, make(chan int))
	wantNil[unsafe.Pointer](t, false, nil)
}

// wantNil fails the test unless nilTest says of each of values whether it is nil.
func wantNil[V any](t *testing.T, want bool, values ...V) {
	t.Helper()
	isNil := nilTest[V]()
	for i, v := range values {
		if got := isNil != nil && isNil(v); got != want {
			t.Errorf("value %d of type %v is nil: %v; want %v", i, reflect.TypeFor[V](), got, want)
		}
	}
}
