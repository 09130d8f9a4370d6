package memstore

import (
	"strings"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// A cell is what a key holds: a record, a lease, or both. It is immutable, so its data can be
// copied without the lock. A change puts another cell in its place.
//
// All times count from when the Store was made. A time t has come once now >= t.
//
//	record     lease   the key holds
//	unexpired  -       a record or a tombstone
//	unexpired  live    a record that is being refreshed; record and lease end independently
//	-          live    a placeholder: the key is absent, but Acquire answers Busy
//	-          -       nothing
//
// A lease whose time is over keeps its token as long as its record lives. So a late Commit still
// succeeds if nobody else has taken the lease. Without a record, the cell ends with the lease.
type cell struct {
	token    string        // of the lease: that of the Ask, a dot, a serial number; "" = no lease
	revoked  bool          // by Clear: others still wait for the lease, but it cannot store
	deadline time.Duration // when the lease ends

	version   string        // of the record: the token of its Commit, or a number; "" = no record
	tombstone bool          // only Acquire returns the record
	expires   time.Duration // when the record ends, or never
	data      []byte
}

// unexpired reports whether there is a record or a tombstone that has not expired.
func (c *cell) unexpired(now time.Duration) bool { return c.version != "" && now < c.expires }

// readable reports whether the key is present: there is a record, and it is no tombstone.
func (c *cell) readable(now time.Duration) bool { return c.unexpired(now) && !c.tombstone }

// leased reports whether there is a live lease, revoked or not.
func (c *cell) leased(now time.Duration) bool { return c.token != "" && now < c.deadline }

// end returns when both record and lease have ended.
func (c *cell) end() time.Duration {
	var end time.Duration
	if c.version != "" {
		end = c.expires
	}
	if c.token != "" {
		end = max(end, c.deadline)
	}
	return end
}

// record returns the record of an unexpired cell. The Data is the cell's own.
func (c *cell) record(now time.Duration) driver.Record {
	ttl := driver.Forever
	if c.expires != never {
		ttl = c.expires - now
	}
	return driver.Record{Data: c.data, TTL: ttl, Version: c.version, Tombstone: c.tombstone}
}

// asked returns the token of the Ask that the lease was granted to.
func (c *cell) asked() string {
	asked, _, _ := strings.Cut(c.token, ".")
	return asked
}

// serial returns the serial number of the lease, which identifies it without being a token.
func (c *cell) serial() string {
	_, serial, _ := strings.Cut(c.token, ".")
	return serial
}

// cost returns about how many bytes of memory a key takes: its text, its data, and the overhead.
func cost(key string, data []byte) uint64 {
	const overhead = 400 // the cell; ttlcache's item, list element, and places in a map and a heap
	return uint64(len(key) + len(data) + overhead)
}
