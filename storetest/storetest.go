// Package storetest checks that a [driver.Store] keeps the contract that package zodiac states, in a test of one line:
//
//	func TestConformance(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) driver.Store { return memstore.New() })
//	}
//
// # Writing a store
//
// Begin with the seven methods of [driver.Store] over whatever you have: a table with a text key, a blob, a version and
// an expiry will do. Run the suite: it tests what there is, and logs which abilities are missing. Then add abilities,
// one interface at a time; a loader finds them by type assertion, and gains by each.
//
//   - Leaser makes processes fetch a key once between them, and fences off values older than an invalidation. It wants an
//     atomic compare-and-set per key: a transaction, or a script. The lease lives beside the value under the same key.
//   - Batcher makes many keys one round trip.
//   - DataReader makes a hit cheaper, if the time left costs something to know.
//   - Waker and Announcer want messages between processes. Without them there is polling, which works.
//
// Each failure says which rule of the contract was broken. Package memstore is the reference implementation: read its
// cell.go and lease.go beside the rules.
//
// # What a rule sees
//
// Each rule is a subtest with a Store of its own, opened for it and closed after it. Keys are random, so that all may
// be on one server, with other data and other tests; Clear is only called with prefixes of such keys. Rules about time
// wait for a tenth or two of a second; all together take some fifteen seconds in real time, and none under
// [RunVirtual].
package storetest

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/zodiac-go/zodiac/driver"
)

// Run checks each rule in a subtest. open returns a Store that nothing else uses, which Run closes; it may be one of
// many on the same server. It is called from the subtest's goroutine, and may use t.Cleanup.
//
// Abilities that the Store does not have are not tested, which the log says.
func Run(t *testing.T, open func(t *testing.T) driver.Store) {
	t.Helper()
	run(t, open, func(t *testing.T, check func(*testing.T)) { check(t) })
}

// RunVirtual is Run with each rule in a bubble of its own, see [synctest.Test]: time is virtual there, so the rules
// take none, and are exact. It is for Stores that wait for nothing outside the process, be it a socket or a file lock.
func RunVirtual(t *testing.T, open func(t *testing.T) driver.Store) {
	t.Helper()
	run(t, open, synctest.Test)
}

func run(t *testing.T, open func(*testing.T) driver.Store, in func(*testing.T, func(*testing.T))) {
	t.Helper()
	var has ability
	opens := t.Run("Opens", func(t *testing.T) {
		in(t, func(t *testing.T) { has = abilitiesOf(start(t, open)) })
	})
	if !opens {
		return
	}
	for _, a := range abilities {
		if has&a.is == 0 {
			t.Logf("the store is no %s, which is not tested", a.name)
		}
	}
	for _, r := range rules() {
		if has&r.needs == r.needs {
			t.Run(r.name, func(t *testing.T) {
				in(t, func(t *testing.T) { r.check(newProbe(t, start(t, open), r.says)) })
			})
		}
	}
}

// start opens a store for one test.
func start(t *testing.T, open func(*testing.T) driver.Store) driver.Store {
	s := open(t)
	t.Cleanup(func() { _ = s.Close() }) // an error if a rule has closed it
	return s
}

// A rule is one thing that a store owes.
type rule struct {
	name  string
	says  string // the rule in a sentence, shown if it is broken
	needs ability
	check func(*probe)
}

func rules() []rule {
	return slices.Concat(recordRules, keyRules, lifeRules, absentRules(), leaseRules, renewRules, commitRules, abortRules, voidRules,
		markRules, manyRules, wakeRules, announceRules)
}

// An ability is a set of interfaces that a store may implement.
type ability uint8

const (
	leaser ability = 1 << iota
	batcher
	dataReader
	waker
	announcer
)

var abilities = []struct {
	is   ability
	name string
}{
	{leaser, "driver.Leaser"},
	{batcher, "driver.Batcher"},
	{dataReader, "driver.DataReader"},
	{waker, "driver.Waker"},
	{announcer, "driver.Bus"},
}

func abilitiesOf(s driver.Store) (has ability) {
	if _, ok := s.(driver.Leaser); ok {
		has |= leaser
	}
	if _, ok := s.(driver.Batcher); ok {
		has |= batcher
	}
	if _, ok := s.(driver.DataReader); ok {
		has |= dataReader
	}
	if _, ok := s.(driver.Waker); ok {
		has |= waker
	}
	if _, ok := s.(driver.Bus); ok {
		has |= announcer
	}
	return has
}
