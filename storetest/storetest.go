// Package storetest checks that a [driver.Store] keeps the contract of package driver. A test needs
// one line:
//
//	func TestConformance(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) driver.Store { return memstore.New() })
//	}
//
// # Writing a store
//
// Begin with the seven methods of [driver.Store] over whatever you have. A table with a key, a
// blob, a version and an expiry is enough. Run the suite. It tests the abilities that the store
// has, and logs those that are missing. Then add abilities, one interface at a time. Loaders find
// them by type assertion, and each one helps:
//
//   - [driver.Leaser]: processes fetch a key once between them, and a value that is older than an
//     invalidation is not stored. It takes an atomic compare-and-set per key, such as a transaction
//     or a script. Keep the lease beside the record, under the same key.
//   - [driver.Batcher]: many keys in one round trip.
//   - [driver.DataReader]: cheaper hits, if the time left costs something to read.
//   - [driver.Waker] and [driver.Bus]: both take messages between processes. Without a Waker,
//     processes that wait for a lease poll. Without a Bus, memory in front of the store keeps an
//     entry for a second at most.
//
// Each failure quotes the rule of the contract that was broken. Package memstore is the reference
// implementation. Read its cell.go and lease.go beside the rules.
//
// # What a rule may do
//
// A rule is a subtest. Each rule has a Store of its own, which is opened for it and closed after
// it. Keys are random, so all Stores may share one server with other data and other tests. Clear
// is only called with prefixes of such keys. Rules know the interfaces of package driver and
// nothing of the store behind them.
//
// A rule may call the Store from several goroutines, and ends only after they have ended. Rules
// about time wait for a tenth or two of a second. All rules together take about fifteen seconds in
// real time, and none under [RunVirtual].
//
// # Where to start reading
//
// A rule is a struct in this file. The other files hold the rules, one file for each subject:
// record.go, key.go, life.go and absent.go for every Store, the others for abilities. probe.go
// has the calls and checks that rules share. Some words in the names of rules: a placeholder is a
// lease on a key without a record, and a refresh lease is one on a key with a record.
package storetest

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/zodiac-go/zodiac/driver"
)

// Run checks each rule in a subtest. open returns a Store that nothing else uses, and Run closes
// it. Many such Stores may be on the same server. Run calls open from the subtest's goroutine,
// and open may use t.Cleanup.
//
// Run does not test abilities that the Store does not have. The log names them.
func Run(t *testing.T, open func(t *testing.T) driver.Store) {
	t.Helper()
	run(t, open, func(t *testing.T, check func(*testing.T)) { check(t) })
}

// RunVirtual is Run with each rule in a bubble of its own, see [synctest.Test]. Time is virtual
// there, so rules that wait take no time and are exact. RunVirtual is for Stores that wait for
// nothing outside the process, such as a socket or a file lock.
func RunVirtual(t *testing.T, open func(t *testing.T) driver.Store) {
	t.Helper()
	run(t, open, synctest.Test)
}

// run checks all rules. in runs each check, in a bubble or not.
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
			t.Logf("the store is no %s: not tested", a.name)
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

// start opens a store for one test, and closes it when the test ends.
func start(t *testing.T, open func(*testing.T) driver.Store) driver.Store {
	s := open(t)
	t.Cleanup(func() { _ = s.Close() }) // may fail if the rule has closed it
	return s
}

// A rule is one requirement of the contract.
type rule struct {
	name  string
	needs ability      // that the store must have; 0 = none
	says  string       // sentences of package driver, which a failure quotes
	check func(*probe) // fails the test if the store breaks the rule
}

// rules returns all rules.
func rules() []rule {
	return slices.Concat(
		recordRules, keyRules, lifeRules, absentRules(),
		leaseRules, repeatRules, renewRules, commitRules, abortRules, revokeRules, tombstoneRules,
		manyRules, wakeRules, busRules,
	)
}

// An ability is a set of interfaces that a store may implement besides driver.Store.
type ability uint8

const (
	leaser ability = 1 << iota
	batcher
	dataReader
	waker
	bus
)

var abilities = []struct {
	is   ability
	name string
}{
	{leaser, "driver.Leaser"},
	{batcher, "driver.Batcher"},
	{dataReader, "driver.DataReader"},
	{waker, "driver.Waker"},
	{bus, "driver.Bus"},
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
		has |= bus
	}
	return has
}
