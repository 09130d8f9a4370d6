package redistest

import "syscall"

// guarded makes the system kill a process when the one that started it is gone, however it went.
func guarded() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
