package properties_test

import (
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/redisstore"
	"pgregory.net/rapid"
)

// TestMachineOnAServer is TestMachineOverStores over redis-server, in real time. Nothing expires
// there, and nothing is left to a timer. After every step it waits until the events that the model
// expects have happened, and checks that no other event has.
func TestMachineOnAServer(t *testing.T) {
	needsModes(t)
	s, err := redisstore.Open("redis://" + redistest.Start(t).Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, of := range [][2]string{{"int", "int64"}, {"withKey", "box"}} {
		t.Run(of[0], func(t *testing.T) {
			checkTimes(t, 25, func(t *rapid.T) {
				if err := s.Client().FlushDB(bg).Err(); err != nil {
					t.Fatal(err)
				}
				m := newMachine(t, lasting(drawConfig(t, of[0], of[1]), s))
				m.real, m.slack = true, time.Minute
				m.run()
			})
		})
	}
}

// serverPatience is the longest time that an expected event may take.
const serverPatience = 5 * time.Second

// lasting removes from c the settings about time. A skipped result leaves a tombstone for a second.
func lasting(c config, s *redisstore.Store) config {
	if c.ttl != zodiac.Forever {
		c.ttl = time.Hour
	}
	c.ttlFunc, c.sliding, c.noneTTL, c.errorTTL, c.timeout, c.skipIf, c.neverClose = false, false, 0, 0, 0, false, false
	c.cacheNil = c.hasNil()
	c.under = sharedStore{s}
	c.more = []zodiac.Option{zodiac.WithWait(time.Minute, zodiac.ThenFetch)}
	return c
}

// quiet returns when everything is idle. In virtual time that is known. In real time it waits until
// the expected events have happened, or others have, or too much time has passed.
func (m *machine) quiet() {
	if !m.real {
		synctest.Wait()
		return
	}
	for end := time.Now().Add(serverPatience); time.Now().Before(end) && !m.excess() && !m.asExpected(); {
		time.Sleep(100 * time.Microsecond)
	}
}

// expects returns how many functions should have begun that the machine has not looked at.
func (m *machine) expects() int {
	n := len(m.started)
	for _, g := range m.getters {
		for _, p := range g.parts {
			if p.direct && m.callOf(p) == nil {
				n++
			}
		}
	}
	return n
}

// excess reports whether more has happened than was expected.
func (m *machine) excess() bool {
	for _, g := range m.getters {
		if len(g.res) > 0 && !g.over() {
			return true
		}
	}
	return m.o.waiting() > m.expects()
}

// asExpected reports whether every expected event has happened: functions have begun, calls have
// returned and are counted, the other calls wait, and nothing runs in the background.
func (m *machine) asExpected() bool {
	for _, g := range m.getters {
		if g.over() && len(g.res) == 0 {
			return false
		}
	}
	if m.o.waiting() != m.expects() {
		return false
	}
	flights, waiting := len(m.started), 0
	for _, r := range m.calls {
		if r.flight != nil {
			flights++
		}
	}
	for _, f := range m.flights {
		if waiting += len(f.joined); f.asking {
			flights++
		}
	}
	stacks := goroutines()
	return m.counted() && stacks.with("(*engine[...]).run(") == flights && stacks.with("flight.(*Flight[...]).Wait(") == waiting && stacks.with(".(*tasks).run.") == 0
}

// counted reports whether the loader has the counts of the model, as far as the model knows them.
func (m *machine) counted() bool {
	got, want := m.s.Stats(), sum(*m.stats[0])
	got.Expired, got.Size, got.Bus = 0, 0, zodiac.BusStats{}
	want.Invalid = max(want.Invalid, min(got.Invalid, want.Invalid+m.over.mayInvalid[0]))
	return got == want
}

// stacks are the stacks of all goroutines.
type stacks []string

func goroutines() stacks {
	buf := make([]byte, 1<<20)
	return strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
}

// with returns how many goroutines are in a function.
func (s stacks) with(function string) (n int) {
	for _, g := range s {
		if strings.Contains(g, function) {
			n++
		}
	}
	return n
}
