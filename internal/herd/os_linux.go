package herd

import (
	"math"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// Now returns CLOCK_MONOTONIC in nanoseconds. All processes of the machine share this clock. Nobody
// can set it, and it goes on while a process is stopped.
func Now() int64 { return int64(time.Since(started)) + startedAt }

// started and startedAt are the same instant, by package time and by CLOCK_MONOTONIC. Package time
// reads CLOCK_MONOTONIC too, and without a system call, but it exposes only differences.
var started, startedAt = calibrated()

// calibrated reads both clocks 100 times and returns the pair that was read in the shortest time. A
// pair is wrong by the time for which the process was interrupted between the two clocks.
func calibrated() (at time.Time, clock int64) {
	shortest := time.Duration(math.MaxInt64)
	for range 100 {
		before := time.Now()
		now := monotonic()
		if took := time.Since(before); took < shortest {
			shortest, at, clock = took, before.Add(took/2), now
		}
	}
	return at, clock
}

// monotonic returns CLOCK_MONOTONIC in nanoseconds, by a system call.
func monotonic() int64 {
	const id = 1 // CLOCK_MONOTONIC
	var t syscall.Timespec
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, id, uintptr(unsafe.Pointer(&t)), 0)
	if errno != 0 {
		panic(errno)
	}
	return t.Nano()
}

// mapped maps the first size bytes of a file to memory. What a process has written there is in the
// file even if the process is killed.
func mapped(f *os.File, size int) ([]byte, error) {
	return syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
}

func unmap(b []byte) error { return syscall.Munmap(b) }

// freeze stops a process. thaw continues it.
func freeze(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }
func thaw(p *os.Process) error   { return p.Signal(syscall.SIGCONT) }

// guarded returns attributes that make Linux kill a process when the thread that started it ends,
// for whatever reason.
func guarded() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
