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

// A Kind says what an Event describes.
type Kind uint32

// The kinds of events. Kind 0 is an empty slot of a log: it was never written, or its writer was
// killed while it wrote.
const (
	// Read is a Get of a cache by Proc. Code is 0 if it returned a value: Version of the row, as
	// fetched by the read of the origin with that Serial.
	Read Kind = iota + 1

	// Fetch is a read of the origin by Proc. It returned Version.
	Fetch

	// Write is a write of Version to the origin by Proc. It takes effect between Start and End.
	Write

	// Delete is a Delete of Key in a cache after the write of Version. Code is 0 if it was
	// acknowledged.
	Delete

	// Freeze is a stop of Proc from Start to End.
	Freeze

	// Kill is the death of Proc at Start, during or soon after the read Serial of Key. Its lease
	// on Key ends at End; 0 = it held none.
	Kill

	// Loss means that the store could not be reached, or lost data, from Start to End. Code is a
	// LossCode.
	Loss

	// Goroutines means that Version goroutines of Proc were left after Close.
	Goroutines

	// Full means that the log had no room for further events.
	Full

	// Refreshed is a Read by Refresh.
	Refreshed
)

// A LossCode says which guarantees a Loss suspends.
type LossCode uint32

// The kinds of losses.
const (
	Outage   LossCode = iota + 1 // the store could not be reached, and workers did without it
	Failover                     // also undoes the Deletes acknowledged from Serial to End
)

// An Event is something that happened to Proc or that it did. Start and End are times of Now.
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

// A Log is a file of events. Add writes to memory that the file is mapped to, without a system call
// and without a lock. So a process that is killed has logged all events whose Add had returned. A
// Log is safe for concurrent use.
type Log struct {
	proc   uint32
	file   *os.File
	memory []byte       // the file, mapped
	events []Event      // memory, as events
	next   atomic.Int64 // the slot for the next event; past the end if the log is full
}

// CreateLog creates the log of a process in dir. It has n slots, one of which is for Full. A log
// that exists already is an error.
func CreateLog(dir string, proc uint32, n int) (*Log, error) {
	name := filepath.Join(dir, fmt.Sprintf("%06d.log", proc))
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
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

// Add writes an event. If its Proc is 0, Add sets it to the log's process. If the log has no room,
// Add drops the event and puts Full in the last slot.
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
	if kind != Full { // several goroutines may write Full to the same slot
		*at = e
	}
	// The kind comes last. A process killed before this line leaves an empty slot, not half an
	// event.
	atomic.StoreUint32((*uint32)(&at.Kind), uint32(kind))
}

// Close truncates the file to the events written, and closes it. No Add may follow.
func (l *Log) Close() error {
	used := min(l.next.Load(), int64(len(l.events)))
	return errors.Join(unmap(l.memory), l.file.Truncate(used*int64(eventSize)), l.file.Close())
}

// ReadLogs returns the events of all logs in dir. Their order has no meaning.
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

// emptySlots is the number of empty slots in a row that end a log whose process was killed. Each
// goroutine killed between taking a slot and writing it leaves one empty slot before the end. The
// number is larger than that of a process's goroutines.
const emptySlots = 10_000

// readLog appends the events of one log to all.
func readLog(all []Event, name string) ([]Event, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // the file is only read
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
