package zodiac

import (
	"reflect"
	"testing"
	"time"
	"unsafe"
)

func TestFlatTypesHoldNothingThatCanBeChanged(t *testing.T) {
	type inner struct{ A, B string }
	for typ, want := range map[reflect.Type]bool{
		reflect.TypeFor[bool]():           true,
		reflect.TypeFor[int8]():           true,
		reflect.TypeFor[uintptr]():        true,
		reflect.TypeFor[float64]():        true,
		reflect.TypeFor[complex128]():     true,
		reflect.TypeFor[string]():         true,
		reflect.TypeFor[time.Time]():      true,
		reflect.TypeFor[time.Duration]():  true,
		reflect.TypeFor[struct{}]():       true,
		reflect.TypeFor[[3]inner]():       true,
		reflect.TypeFor[[0]*int]():        false,
		reflect.TypeFor[[]byte]():         false,
		reflect.TypeFor[*int]():           false,
		reflect.TypeFor[map[int]int]():    false,
		reflect.TypeFor[any]():            false,
		reflect.TypeFor[func()]():         false,
		reflect.TypeFor[chan int]():       false,
		reflect.TypeFor[unsafe.Pointer](): false,
		reflect.TypeFor[struct {
			inner
			at time.Time
		}](): true,
		reflect.TypeFor[struct {
			inner
			hidden [1][]int
		}](): false,
		reflect.TypeFor[struct{ p *time.Location }](): false,
	} {
		if got := isFlat(typ); got != want {
			t.Errorf("isFlat(%v) = %v", typ, got)
		}
	}
}
