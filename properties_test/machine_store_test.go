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

// TestMachineOverStores is TestMachine over a store: model_store_test.go says what is different there.
//
// Canceled out are what is about memory alone (capacity and Len), WithErrorTTL, of whose errors a store keeps the text only, and contexts that
// have ended before a call, which memory does not look at. Also, as the order of what happens at one instant would matter:
//
//   - While a flight waits for the lease nobody fetches by force: it could meet a third holder, or not, as it happens to ask. P17 has
//     tests of its own.
//   - Under NoWrite nobody shares a flight that may write: sent round with others, he could find theirs, or begin one of his own.
//   - WithSliding nobody touches a key whose lease somebody has.
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

// redisSlack is by how much times may be off over Redis: it counts the time left in whole milliseconds, and the last one is over sooner.
const redisSlack = 3 * time.Millisecond

func openMemstore(*rapid.T) zodiac.Store { return memstore.New() }

func openRedis(t *rapid.T) zodiac.Store { return redisstore.New(redistest.Virtual(virtualTB{t: t})) }

// listen sees to it that memory in front of a store is used from the beginning.
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
				m.t.Skip("others fetch what may be written")
			}
		}
	}
}

// spareForce skips a write that takes the lease by force while a flight waits for it: in real time it may meet that holder too.
func (m *machine) spareForce(key int) {
	if m.real && m.find(key, func(f *flight) bool { return f.asking }) != nil {
		m.t.Skip("a flight waits for the lease")
	}
}

// unclear reports whether a moment is so near that a store may be of another opinion about what is over.
func (m *machine) unclear() bool { return m.slack > 0 && m.clearAt() > m.now }

// clearAt returns when all are of one opinion again.
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

// clearly lets time pass until all are of one opinion.
func (m *machine) clearly() {
	for m.unclear() {
		m.advance(m.clearAt())
	}
}
