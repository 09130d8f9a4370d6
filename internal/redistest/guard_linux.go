package redistest

import "syscall"

// dieWithParent makes the system kill a process when the process that started it ends, in whatever
// way.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
