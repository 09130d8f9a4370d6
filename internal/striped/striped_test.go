package striped

import (
	"sync"
	"testing"
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

func TestAddAllocatesNothing(t *testing.T) {
	c := NewCounter()
	if n := testing.AllocsPerRun(100, c.Add); n != 0 {
		t.Errorf("Add allocates %v times; want never", n)
	}
}
