package memstore

import (
	"strings"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// A cell is what a key holds: a record, a lease, or both. It is immutable, so that its data can be copied without the
// lock; a change puts another cell in its place. All moments count from when the Store was made, and have come once now
// >= moment.
//
//	record   lease   the key is
//	alive    -       a record, or a mark
//	alive    live    a record that is being refreshed: both go on side by side
//	-        live    a placeholder: absent to all but those who ask for the lease
//	-        -       absent
//
// A lease whose time is over keeps its token as long as its record lives, so that a late Commit still succeeds if
// nobody else has come. Without a record the key ends with the lease.
type cell struct {
	token    string        // of the lease, as granted: the one asked with, a dot and a serial number; "" = no lease
	void     bool          // the lease has outlived an invalidation: it keeps others waiting, but nothing can be stored under it
	deadline time.Duration // when the lease ends

	version string        // of the record: the token it was committed under, or a number; "" = no record
	mark    bool          // the record is seen by none but those who ask for the lease
	dies    time.Duration // when the record ends, or never
	data    []byte
}

// alive reports whether there is a record or a mark.
func (c *cell) alive(now time.Duration) bool { return c.version != "" && now < c.dies }

// readable reports whether there is a record: if not, the key is absent.
func (c *cell) readable(now time.Duration) bool { return c.alive(now) && !c.mark }

// leased reports whether there is a live lease, void or not.
func (c *cell) leased(now time.Duration) bool { return c.token != "" && now < c.deadline }

// end returns when nothing is left of the cell.
func (c *cell) end() time.Duration {
	var end time.Duration
	if c.version != "" {
		end = c.dies
	}
	if c.token != "" {
		end = max(end, c.deadline)
	}
	return end
}

// record returns the record of a cell that is alive, with the cell's own data.
func (c *cell) record(now time.Duration) driver.Record {
	ttl := driver.Forever
	if c.dies != never {
		ttl = c.dies - now
	}
	return driver.Record{Data: c.data, TTL: ttl, Version: c.version, Tombstone: c.mark}
}

// asked returns the token that the lease was asked with.
func (c *cell) asked() string {
	asked, _, _ := strings.Cut(c.token, ".")
	return asked
}

// serial returns what tells the lease from others without being a token.
func (c *cell) serial() string {
	_, serial, _ := strings.Cut(c.token, ".")
	return serial
}

// cost returns how many bytes of memory a key takes, about: its text, its data, and what lies around them.
func cost(key string, data []byte) uint64 {
	const around = 400 // the cell, ttlcache's item, its list element, its places in a map and a heap
	return uint64(len(key) + len(data) + around)
}
