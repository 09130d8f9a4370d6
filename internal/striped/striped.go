// Package striped has a counter for events that many goroutines count at once.
package striped

import (
	"math/bits"
	"runtime"
	"sync/atomic"
	"unsafe"
)

// A Counter counts in many cells. With one cell a hit on two cores would cost twice as much: the
// cores would take its cache line from each other. Make it with NewCounter. It is safe for
// concurrent use.
type Counter struct {
	cells []cell // a power of two
	shift uint
}

type cell struct {
	n atomic.Uint64
	_ [56]byte // keeps the neighbour off this cache line
}

// NewCounter returns a Counter at zero, with cells for the processors there are.
func NewCounter() Counter {
	n := min(256, 8<<bits.Len(uint(runtime.GOMAXPROCS(0)-1)))
	return Counter{cells: make([]cell, n), shift: uint(64 - bits.TrailingZeros(uint(n)))}
}

// Add counts one, in a cell chosen by the address of the goroutine's stack. A goroutine keeps to its
// cell, two goroutines hardly ever meet, and nobody has to ask which core this is.
func (c *Counter) Add() {
	var here byte
	at := uint64(uintptr(unsafe.Pointer(&here))) >> 11
	c.cells[at*0x9e3779b97f4a7c15>>c.shift&uint64(len(c.cells)-1)].n.Add(1)
}

// Sum returns the count. What is counted meanwhile may be missing.
func (c *Counter) Sum() uint64 {
	var n uint64
	for i := range c.cells {
		n += c.cells[i].n.Load()
	}
	return n
}
