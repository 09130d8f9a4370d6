package storetest_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/storetest"
	"github.com/zodiac-go/zodiac/storetest/chaos"
)

func ExampleRun() {
	// In a file of your store's package that ends in _test.go:
	_ = func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) driver.Store { return newMapStore() })
	}
}

func ExampleRunVirtual() {
	// For a store that waits for nothing outside the process:
	_ = func(t *testing.T) {
		storetest.RunVirtual(t, func(t *testing.T) driver.Store { return memstore.New() })
	}
}

func TestExampleStoreConforms(t *testing.T) {
	storetest.RunVirtual(t, func(*testing.T) driver.Store { return newMapStore() })
}

func TestStoreWithoutAnAbilityConforms(t *testing.T) {
	for name, a := range map[string]chaos.Ability{
		"Leaser": chaos.Leaser, "Batcher": chaos.Batcher, "Waker": chaos.Waker, "Bus": chaos.Bus,
	} {
		t.Run(name, func(t *testing.T) {
			storetest.RunVirtual(t, func(*testing.T) driver.Store { return chaos.Without(memstore.New(), a) })
		})
	}
}

// broken has stores that break a rule. test is the rule that has to fail, and says is part of what
// its message has to quote.
var broken = map[string]struct {
	open func() driver.Store
	test string
	says string
}{
	"CountsKeys": {
		func() driver.Store { return countsKeys{mem()} },
		"DeleteCountsRecords", "returns how many records there were",
	},
	"SharesData": {
		func() driver.Store { return sharesData{mem(), map[string][]byte{}} },
		"GivenDataIsNotKept", "neither keeps nor changes the Data",
	},
	"TakesAnyTTL": {
		func() driver.Store { return takesAnyTTL{mem()} },
		"ShorterTTLIsAnError", "shorter or negative time to live is an error",
	},
	"MissIsNoError": {
		func() driver.Store { return missIsNoError{mem()} },
		"GetOfANewKeyMisses", "ErrMiss if key is absent",
	},
	"DropsPrefix": {
		func() driver.Store { return dropsPrefix{mem()} },
		"ClearRemovesExactlyThePrefix", "no others",
	},
	"CommitsLate": {
		func() driver.Store { return commitsLate{mem()} },
		"DeleteRevokesARefreshLease", "revokes leases on them",
	},
}

func mem() *memstore.Store { return memstore.New() }

// TestBrokenStoreFails runs the suite over each broken store. Each run has a process of its own,
// because it has to fail.
func TestBrokenStoreFails(t *testing.T) {
	if name := os.Getenv("STORETEST_BROKEN"); name != "" {
		storetest.RunVirtual(t, func(*testing.T) driver.Store { return broken[name].open() })
		return
	}
	for name, b := range broken {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestBrokenStoreFails$")
			cmd.Env = append(os.Environ(), "STORETEST_BROKEN="+name)
			out, err := cmd.CombinedOutput()
			failed := strings.Contains(string(out), "--- FAIL: TestBrokenStoreFails/"+b.test)
			if err == nil || !failed || !strings.Contains(string(out), b.says) {
				t.Errorf("%v; want %s to fail and to say %q:\n%s", err, b.test, b.says, out)
			}
		})
	}
}

// countsKeys counts the keys that Delete is given, not the records.
type countsKeys struct{ *memstore.Store }

func (s countsKeys) Delete(ctx context.Context, keys ...string) (int, error) {
	_, err := s.Store.Delete(ctx, keys...)
	return len(keys), err
}

// sharesData keeps the slice that Set is given, not a copy of it.
type sharesData struct {
	*memstore.Store
	kept map[string][]byte
}

func (s sharesData) Set(ctx context.Context, key string, r driver.Record) error {
	s.kept[key] = r.Data
	return s.Store.Set(ctx, key, r)
}

func (s sharesData) Get(ctx context.Context, key string) (driver.Record, error) {
	r, err := s.Store.Get(ctx, key)
	if data, ok := s.kept[key]; ok {
		r.Data = data
	}
	return r, err
}

// takesAnyTTL makes a short TTL longer instead of refusing it.
type takesAnyTTL struct{ *memstore.Store }

func (s takesAnyTTL) Set(ctx context.Context, key string, r driver.Record) error {
	r.TTL = max(r.TTL, time.Millisecond)
	return s.Store.Set(ctx, key, r)
}

// missIsNoError returns an empty record for an absent key.
type missIsNoError struct{ *memstore.Store }

func (s missIsNoError) Get(ctx context.Context, key string) (driver.Record, error) {
	r, _ := s.Store.Get(ctx, key)
	return r, nil
}

// dropsPrefix clears a shorter prefix.
type dropsPrefix struct{ *memstore.Store }

func (s dropsPrefix) Clear(ctx context.Context, prefix string) (int, error) {
	return s.Store.Clear(ctx, prefix[:len(prefix)-1])
}

// commitsLate stores what Commit refuses to store.
type commitsLate struct{ *memstore.Store }

func (s commitsLate) Commit(ctx context.Context, key, token string, r driver.Record) (bool, error) {
	stored, err := s.Store.Commit(ctx, key, token, r)
	if !stored && err == nil {
		return true, s.Set(ctx, key, r)
	}
	return stored, err
}
