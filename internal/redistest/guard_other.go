//go:build !linux

package redistest

import "syscall"

// guarded has nothing to offer here: a program that is killed leaves its servers behind.
func guarded() *syscall.SysProcAttr { return nil }
