package inside

import (
	"fmt"
	"slices"
	"sync"
	"testing"
)

//go:noinline
func nest(values []int, f func()) {
	if len(values) == 0 {
		f()
		return
	}
	Run(values[0], func() { nest(values[1:], f) })
}

func TestValuesAreThoseOfTheRunsOnTheStack(t *testing.T) {
	if got := Values(); got != nil {
		t.Errorf("outside of any Run: %v", got)
	}
	var wg sync.WaitGroup
	for g := range 20 { // at once, so that all numbers differ
		wg.Go(func() {
			for n := range 50 {
				var in []int
				var want []any
				for i := range n {
					in = append(in, g*100+i)
					want = append(want, g*100+i)
				}
				slices.Reverse(want)
				nest(in, func() {
					if got := Values(); !slices.Equal(got, want) {
						t.Errorf("Values = %v; want %v", got, want)
					}
				})
			}
		})
	}
	wg.Wait()
}

func TestRunIsNotSeenFromOtherGoroutines(t *testing.T) {
	Run("mine", func() {
		got := make(chan []any)
		go func() { got <- Values() }()
		if all := <-got; len(all) != 0 {
			t.Errorf("another goroutine is inside %v", all)
		}
	})
}

func TestRunEndsWithAPanicOrGoexit(t *testing.T) {
	func() {
		defer func() {
			if p := recover(); p != "boom" {
				t.Errorf("Run panicked with %v; want boom", p)
			}
		}()
		Run(1, func() { panic("boom") })
	}()
	if n := running.n.Load(); n != 0 {
		t.Errorf("%d Runs are left", n)
	}
}

func TestMoreRunsThanNumbersCallTheirFunctions(t *testing.T) {
	n := len(running.values)
	var in, out sync.WaitGroup
	in.Add(n)
	end := make(chan struct{})
	for i := range n {
		out.Go(func() {
			Run(i, func() {
				if got := Values(); len(got) != 1 || got[0] != i {
					t.Errorf("Values = %v; want %d", got, i)
				}
				in.Done()
				<-end
			})
		})
	}
	in.Wait()
	called := false
	Run("one more", func() { called = len(Values()) == 0 })
	if !called {
		t.Error("the function of one Run too many was not called, or has a number")
	}
	close(end)
	out.Wait()
}

func BenchmarkRun(b *testing.B) {
	b.ReportAllocs()
	v := new(int)
	for b.Loop() {
		Run(v, func() {})
	}
}

func BenchmarkValues(b *testing.B) {
	for _, runs := range []int{0, 1} {
		b.Run(fmt.Sprint("runs=", runs), func(b *testing.B) {
			nest(make([]int, runs), func() {
				for b.Loop() {
					Values()
				}
			})
		})
	}
}
