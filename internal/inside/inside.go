// Package inside tells a function within which others it runs, on its goroutine.
//
// It is for functions that have no context to tell. [Run] calls a function through a few functions
// of this package. Which ones they are spells a number, and [Values] reads it from the stack. So
// Run costs a few calls, and only who asks walks the stack.
package inside

import (
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	digits = 3  // of a number
	base   = 16 // the number of functions
)

// running has the values of the Runs that have not returned.
var running struct {
	n atomic.Int64 // how many

	sync.Mutex // guards the fields below
	values     [1 << (4 * digits)]any
	next       int // where to look for a free number
}

// Run calls f. Until f has returned, Values has value for the functions that f calls, directly or
// through others, on its goroutine. A panic of f passes through.
//
// If 4,096 Runs have not returned, it only calls f.
func Run(value any, f func()) {
	number, ok := take(value)
	if !ok {
		f()
		return
	}
	defer free(number)
	spell(number, digits, f)
}

// Values returns the values of the Runs that the caller runs in, innermost first.
func Values() (all []any) {
	if running.n.Load() == 0 {
		return nil
	}
	var room [256]uintptr
	stack := room[:]
	for n := runtime.Callers(1, stack); ; n = runtime.Callers(1, stack) {
		if n < len(stack) {
			stack = stack[:n]
			break
		}
		stack = make([]uintptr, 2*n)
	}
	number, found := 0, 0
	for _, pc := range stack {
		f := runtime.FuncForPC(pc - 1)
		if f == nil {
			continue
		}
		digit, ok := digitOf[f.Entry()]
		if !ok {
			continue // spell, between two digits, or not ours
		}
		number = number*base + digit
		if found++; found == digits {
			running.Lock()
			all = append(all, running.values[number])
			running.Unlock()
			number, found = 0, 0
		}
	}
	return all
}

func take(value any) (number int, ok bool) {
	running.Lock()
	defer running.Unlock()
	for range running.values {
		number = running.next
		running.next = (number + 1) % len(running.values)
		if running.values[number] == nil {
			running.values[number] = value
			running.n.Add(1)
			return number, true
		}
	}
	return 0, false
}

func free(number int) {
	running.Lock()
	defer running.Unlock()
	running.values[number] = nil
	running.n.Add(-1)
}

// spell calls f through the functions of the last n digits of number, the last one first.
func spell(number, n int, f func()) {
	if n == 0 {
		f()
		return
	}
	functions[number%base](number/base, n-1, f)
}

var (
	functions [base]func(number, n int, f func())
	digitOf   = make(map[uintptr]int, base) // by the functions' entries
)

func init() { // else the functions would be initialized by themselves
	functions = [base]func(int, int, func()){d0, d1, d2, d3, d4, d5, d6, d7, d8, d9, d10, d11, d12, d13, d14, d15}
	for digit, f := range functions {
		digitOf[reflect.ValueOf(f).Pointer()] = digit
	}
}

// The functions are not inlined, and differ, so that each has an entry of its own.

//go:noinline
func d0(number, n int, f func()) { spell(number, n, f) }

//go:noinline
func d1(number, n int, f func()) { spell(number, n, f) }

//go:noinline
func d2(number, n int, f func()) { spell(number, n, f) }

//go:noinline
func d3(number, n int, f func()) { spell(number, n, f) }

//go:noinline
func d4(number, n int, f func()) { spell(number, n, f) }

//go:noinline
func d5(number, n int, f func()) { spell(number, n, f) }

//go:noinline
func d6(number, n int, f func()) { spell(number, n, f) }

//go:noinline
func d7(number, n int, f func()) { spell(number, n, f) }

//go:noinline
func d8(number, n int, f func()) { spell(number, n, f) }

//go:noinline
func d9(number, n int, f func()) { spell(number, n, f) }

//go:noinline
func d10(number, n int, f func()) { spell(number, n, f) }

//go:noinline
func d11(number, n int, f func()) { spell(number, n, f) }

//go:noinline
func d12(number, n int, f func()) { spell(number, n, f) }

//go:noinline
func d13(number, n int, f func()) { spell(number, n, f) }

//go:noinline
func d14(number, n int, f func()) { spell(number, n, f) }

//go:noinline
func d15(number, n int, f func()) { spell(number, n, f) }
