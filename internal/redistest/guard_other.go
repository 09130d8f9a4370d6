//go:build !linux

package redistest

import "syscall"

// dieWithParent has no effect on this system. A program that is killed leaves its servers behind.
func dieWithParent() *syscall.SysProcAttr { return nil }
