package herd

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"unsafe"
)

// A Kind says what an Event tells of.
type Kind uint32

// The kinds. A slot of a log with none was never written, or its writer was killed in the act.
const (
	Read       Kind = iota + 1 // a Get of a worker: Code 0 if it brought Version, made by the origin call Serial
	Fetch                      // a call of the origin by Proc
	Write                      // a write to the origin, visible at End
	Delete                     // a Delete after the write of Version: Code 0 if it was acknowledged
	Freeze                     // Proc was stopped from Start to End
	Kill                       // Proc was killed at Start, in the call Serial of Key; its lease ends at End, 0 if it had none
	Loss                       // the store was away, or lost something, from Start to End: Code is a LossCode
	Goroutines                 // Version goroutines of Proc were left after Close
	Full                       // the log had no room for more
)

// A LossCode says what a Loss may cost.
type LossCode uint32

// The losses.
const (
	Outage   LossCode = iota + 1 // the store could not be reached: workers served themselves
	Failover                     // and Deletes acknowledged from Serial to End are undone
)

// An Event is a line of a log. Times are those of Now.
type Event struct {
	Kind    Kind
	Proc    uint32
	Key     uint32
	Code    uint32
	Version int64
	Serial  int64
	Start   int64
	End     int64
}

const eventSize = int(unsafe.Sizeof(Event{}))

// A Log is a file of Events. It is written through memory that belongs to the file, without a call of the system or a
// lock, so that a process killed at any instant has logged what it had seen.
type Log struct {
	proc   uint32
	file   *os.File
	memory []byte
	events []Event
	next   atomic.Int64
}

// CreateLog makes the log of a process in dir, with room for n events.
func CreateLog(dir string, proc uint32, n int) (*Log, error) {
	f, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf("%06d.log", proc)), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	size := n * eventSize
	if err := f.Truncate(int64(size)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	memory, err := mapped(f, size)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	events := unsafe.Slice((*Event)(unsafe.Pointer(unsafe.SliceData(memory))), n)
	return &Log{proc: proc, file: f, memory: memory, events: events}, nil
}

// Add writes an event. Its Proc is the log's, if it names none.
func (l *Log) Add(e Event) {
	if e.Proc == 0 {
		e.Proc = l.proc
	}
	i := l.next.Add(1) - 1
	if last := int64(len(l.events) - 1); i >= last {
		i, e.Kind = last, Full
	}
	kind := e.Kind
	e.Kind = 0
	at := &l.events[i]
	if kind != Full { // which many may write at once
		*at = e
	}
	atomic.StoreUint32((*uint32)(&at.Kind), uint32(kind)) // last: an event is there whole, or not at all
}

// Close cuts the file to what was written.
func (l *Log) Close() error {
	used := min(l.next.Load(), int64(len(l.events)))
	return errors.Join(unmap(l.memory), l.file.Truncate(used*int64(eventSize)), l.file.Close())
}

// ReadLogs returns the events of all logs in dir, in no particular order.
func ReadLogs(dir string) ([]Event, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return nil, err
	}
	var all []Event
	for _, name := range names {
		if all, err = readLog(all, name); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return all, nil
}

// emptySlots is how many empty slots in a row are the end of a log: more than a process has goroutines that could have been
// killed between taking a slot and writing it.
const emptySlots = 10_000

func readLog(all []Event, name string) ([]Event, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	r := bufio.NewReaderSize(f, 1<<16)
	for empty := 0; empty < emptySlots; empty++ {
		var e Event
		err := binary.Read(r, binary.NativeEndian, &e)
		if errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		if e.Kind != 0 {
			all, empty = append(all, e), 0
		}
	}
	return all, nil
}
