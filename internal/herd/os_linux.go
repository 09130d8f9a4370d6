package herd

import (
	"math"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// Now returns the time in nanoseconds of a clock that all processes of the machine share, and that nobody sets. It goes on
// while a process is stopped.
func Now() int64 { return int64(time.Since(started)) + startedAt }

// started is an instant, and startedAt the same as CLOCK_MONOTONIC has it. Package time reads that clock too, without a call of the
// system, but tells only differences.
var started, startedAt = calibrated()

// calibrated returns the best of some tries: one in which the process was stopped between the two clocks is worse.
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

func monotonic() int64 {
	const id = 1 // CLOCK_MONOTONIC
	var t syscall.Timespec
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, id, uintptr(unsafe.Pointer(&t)), 0); errno != 0 {
		panic(errno)
	}
	return t.Nano()
}

// mapped returns the bytes of a file as memory that outlives the process: what was written before a SIGKILL is in the file.
func mapped(f *os.File, size int) ([]byte, error) {
	return syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
}

func unmap(b []byte) error { return syscall.Munmap(b) }

// freeze and thaw stop a process and let it go on.
func freeze(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }
func thaw(p *os.Process) error   { return p.Signal(syscall.SIGCONT) }

// guarded makes the system kill a process when the one that started it is gone, however it went.
func guarded() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
