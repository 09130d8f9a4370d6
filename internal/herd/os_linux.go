package herd

import (
	"os"
	"syscall"
	"unsafe"
)

// Now returns the time in nanoseconds of a clock that all processes of the machine share, and that nobody sets. It goes on
// while a process is stopped.
func Now() int64 {
	const monotonic = 1 // CLOCK_MONOTONIC
	var t syscall.Timespec
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, monotonic, uintptr(unsafe.Pointer(&t)), 0); errno != 0 {
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
