package properties_test

import (
	"context"
	"testing"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/redisstore"
	"pgregory.net/rapid"
)

// TestMachineOverStores is TestMachine over a store: model_store_test.go has the differences.
//
// Left out are the properties of memory alone (capacity and Len), WithErrorTTL, because a store
// keeps only the text of an error, and contexts that have ended before a call, because memory does
// not check them. Three cases are left out because the order of events at one instant would matter:
//
//   - Nobody fetches by force while a flight waits for the lease. The flight could meet a third
//     holder or not, depending on the time of its ask. P17 has tests of its own.
//   - Under NoWrite nobody shares a flight that may write. Sent to a new round with others, the
//     caller could find their flight or begin one.
//   - With WithSliding nobody touches a key whose lease is taken.
func TestMachineOverStores(t *testing.T) {
	needsModes(t)
	for _, g := range []struct {
		name         string
		keys, values string
		front, slack time.Duration
		runs         int // by default
		open         func(t *rapid.T) zodiac.Store
	}{
		{"memstore", "int", "box", 0, 0, 500, openMemstore},
		{"redis", "string", "int64", 0, redisSlack, 30, openRedis},
		{"memory-memstore", "struct", "box", 3 * time.Second, 0, 500, openMemstore},
		{"memory-redis", "withKey", "int64", 3 * time.Second, redisSlack, 30, openRedis},
	} {
		t.Run(g.name, func(t *testing.T) {
			checkTimes(t, g.runs, func(t *rapid.T) {
				c := drawConfig(t, g.keys, g.values)
				c.errorTTL, c.neverClose = 0, false
				if c.front = g.front; g.front != 0 {
					c.sliding = false
					if c.ttl != 0 {
						c.front = min(c.front, c.ttl)
					}
				}
				c.more = []zodiac.Option{zodiac.WithWait(waitsFor, zodiac.ThenFetch)}
				rapid.SyncTest(t, func(t *rapid.T) {
					c.under = g.open(t)
					m := newMachine(t, c)
					m.slack = g.slack
					m.run()
				})
			})
		})
	}
}

// redisSlack is the possible error of times over Redis. It counts the time left in whole
// milliseconds, and the last millisecond ends sooner.
const redisSlack = 3 * time.Millisecond

func openMemstore(*rapid.T) zodiac.Store { return memstore.New() }

func openRedis(t *rapid.T) zodiac.Store { return redisstore.New(redistest.Virtual(virtualTB{t: t})) }

// listen makes sure that memory in front of a store is used from the beginning.
func (m *machine) listen() {
	for range 2 {
		_, _, _ = m.s.Peek(context.Background(), 0)
		m.peek(0, nil)
		m.quiet()
	}
}

// spare skips a call that would meet one of the cases that TestMachineOverStores leaves out.
func (m *machine) spare(g *getter) {
	if m.over == nil {
		return
	}
	for _, p := range g.parts {
		for _, f := range m.flights {
			if f.key != p.key || p.mode.NoFetch {
				continue
			}
			if p.kind() == forced && f.asking {
				g.cancel()
				m.t.Skip("a flight waits for the lease")
			}
			if p.kind() == aside && f.kind != aside {
				g.cancel()
				m.t.Skip("other callers fetch a value that may be written")
			}
		}
	}
}

// spareForce skips a write that takes the lease by force while a flight waits for it. In real time
// the flight may meet that holder too.
func (m *machine) spareForce(key int) {
	if m.real && m.find(key, func(f *flight) bool { return f.asking }) != nil {
		m.t.Skip("a flight waits for the lease")
	}
}

// unclear reports whether an expiry is so near that a store may disagree about it.
func (m *machine) unclear() bool { return m.slack > 0 && m.clearAt() > m.now }

// clearAt returns when the store and the model agree again.
func (m *machine) clearAt() time.Duration {
	at := m.now
	look := func(end time.Duration) {
		if end != never && (end-m.now).Abs() <= m.slack {
			at = max(at, end+m.slack+1)
		}
	}
	for _, e := range m.entries {
		look(e.expiry)
		if m.sliding && e.life != never {
			look(e.expiry - (e.life - e.life/8))
		}
	}
	for _, end := range m.over.tombstones {
		look(end)
	}
	for _, e := range m.over.near {
		look(e.until)
	}
	return at
}

// clearly lets time pass until the store and the model agree.
func (m *machine) clearly() {
	for m.unclear() {
		m.advance(m.clearAt())
	}
}
