//go:build !linux

package herd

import (
	"errors"
	"os"
	"syscall"
)

var errSystem = errors.New("herd: needs Linux")

// Now has no clock to read that processes share.
func Now() int64 { panic(errSystem) }

func mapped(*os.File, int) ([]byte, error) { return nil, errSystem }
func unmap([]byte) error                   { return errSystem }
func freeze(*os.Process) error             { return errSystem }
func thaw(*os.Process) error               { return errSystem }

func guarded() *syscall.SysProcAttr { return nil }
