package lease_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"testing"
	"time"
)

// TestMain fails the run if it leaves goroutines behind.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 && !goroutinesEnd(1) {
		fmt.Fprintln(os.Stderr, "goroutines are left behind:")
		pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
		code = 1
	}
	os.Exit(code)
}

// goroutinesEnd waits up to five seconds until no more than n goroutines are left, and reports
// whether that is so.
func goroutinesEnd(n int) bool {
	for range 500 {
		if runtime.NumGoroutine() <= n {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}
