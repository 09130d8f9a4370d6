//go:build !linux

package herd

import (
	"errors"
	"os"
	"syscall"
)

var errSystem = errors.New("herd: needs Linux")

// Now panics: it knows no clock that the processes of other systems share.
func Now() int64 { panic(errSystem) }

func mapped(*os.File, int) ([]byte, error) { return nil, errSystem }
func unmap([]byte) error                   { return errSystem }
func freeze(*os.Process) error             { return errSystem }
func thaw(*os.Process) error               { return errSystem }

func guarded() *syscall.SysProcAttr { return nil }
