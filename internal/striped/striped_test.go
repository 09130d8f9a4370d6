package striped

import (
	"sync"
	"testing"
	"unsafe"
)

func TestSumIsWhatAllGoroutinesCounted(t *testing.T) {
	c := NewCounter()
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range 1000 {
				c.Add()
			}
		})
	}
	wg.Wait()
	if n := c.Sum(); n != 50_000 {
		t.Errorf("Sum = %d; want 50,000", n)
	}
}

func TestAddsToOneCellAreNotLost(t *testing.T) {
	c := Counter{cells: make([]cell, 1), shift: 64}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200_000 {
				c.Add()
			}
		})
	}
	wg.Wait()
	if n := c.Sum(); n != 800_000 {
		t.Errorf("Sum = %d; want 800,000", n)
	}
}

func TestGoroutinesCountInManyCells(t *testing.T) {
	c := NewCounter()
	var counted, wg sync.WaitGroup
	end := make(chan struct{})
	for range 8 * len(c.cells) {
		counted.Add(1)
		wg.Go(func() {
			c.Add()
			counted.Done()
			<-end // no other goroutine gets this stack
		})
	}
	counted.Wait()
	close(end)
	wg.Wait()
	used := 0
	for i := range c.cells {
		if c.cells[i].n.Load() > 0 {
			used++
		}
	}
	if used < len(c.cells)/2 {
		t.Errorf("%d goroutines have used %d of %d cells", 8*len(c.cells), used, len(c.cells))
	}
	if size := unsafe.Sizeof(cell{}); size != 64 {
		t.Errorf("a cell has %d bytes; want a cache line", size)
	}
}

func TestAddAllocatesNothing(t *testing.T) {
	c := NewCounter()
	if n := testing.AllocsPerRun(100, c.Add); n != 0 {
		t.Errorf("Add allocates %v times; want never", n)
	}
}
