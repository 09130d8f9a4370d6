package memstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/storetest"
)

// TestMain fails the run if it leaves goroutines behind.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 && leaked() {
		fmt.Fprintln(os.Stderr, "goroutines are left behind:")
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
		code = 1
	}
	os.Exit(code)
}

// leaked reports whether goroutines other than this one are left after a second. Goroutines that
// are about to end have that long.
func leaked() bool {
	for range 100 {
		if runtime.NumGoroutine() == 1 {
			return false
		}
		time.Sleep(10 * time.Millisecond)
	}
	return true
}

func open(*testing.T) driver.Store { return memstore.New() }

func TestConformance(t *testing.T) { storetest.RunVirtual(t, open) }

func TestConformanceInRealTime(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	storetest.Run(t, open)
}

func TestConformanceWithABudgetOfBytes(t *testing.T) {
	storetest.RunVirtual(t, func(*testing.T) driver.Store {
		return memstore.New(memstore.WithMaxBytes(10 << 20))
	})
}

func TestStoreHoldsItsCapacity(t *testing.T) {
	s := memstore.New(memstore.WithCapacity(100))
	set(t, s, "used", "data", driver.Forever)
	for i := range 1_000 {
		set(t, s, fmt.Sprint(i), "data", driver.Forever)
		wantData(t, s, "used", "data")
	}
	if n := s.Cells(); n != 100 {
		t.Errorf("%d keys are held; want 100", n)
	}
	wantMiss(t, s, "900")
	wantData(t, s, "901", "data")
}

func TestExpiredRecordsAreEvictedBeforeLiveOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(memstore.WithCapacity(2))
		set(t, s, "old", "data", driver.Forever)
		set(t, s, "expired", "data", 100*time.Millisecond)
		time.Sleep(200 * time.Millisecond)
		set(t, s, "new", "data", driver.Forever)
		wantData(t, s, "old", "data")
	})
}

func TestLeaseOfAnEvictedKeyIsLost(t *testing.T) {
	s := memstore.New(memstore.WithCapacity(1))
	token := acquire(t, s, "k", "0123456789abcdef")
	set(t, s, "other", "data", driver.Forever)
	wantCommit(t, s, "k", token, false)
	if live, err := s.Renew(t.Context(), "k", token, time.Minute); live || err != nil {
		t.Errorf("Renew = %v, %v; want false", live, err)
	}
	wantMiss(t, s, "k")
}

func TestMaxBytesLimitsTheRecords(t *testing.T) {
	const budget = 10_000
	s := memstore.New(memstore.WithMaxBytes(budget))
	data := string(make([]byte, 600)) // with the overhead, a tenth of the budget
	for i := range 100 {
		set(t, s, fmt.Sprint(i), data, driver.Forever)
		set(t, s, fmt.Sprint(i), data, driver.Forever) // a replaced record counts once
		if i%3 == 0 {
			if _, err := s.Delete(t.Context(), fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := s.Cells(); n < 8 || n > 10 {
		t.Errorf("%d records of 1,000 bytes are held in %d; want about 9", n, budget)
	}
}

func TestRecordLargerThanTheBudgetIsAnError(t *testing.T) {
	s := memstore.New(memstore.WithMaxBytes(10_000))
	set(t, s, "k", "old", driver.Forever)
	set(t, s, "other", "data", driver.Forever)
	token := acquire(t, s, "lease", "0123456789abcdef")
	large := driver.Record{Data: make([]byte, 10_001), TTL: time.Minute}
	if err := s.Set(t.Context(), "k", large); err == nil {
		t.Error("Set = nil; want an error")
	}
	if _, err := s.Commit(t.Context(), "lease", token, large); err == nil {
		t.Error("Commit = nil; want an error")
	}
	wantData(t, s, "k", "old")
	wantData(t, s, "other", "data")
	wantCommit(t, s, "lease", token, true)
}

func TestExpiredKeysAreRemovedWithoutWrites(t *testing.T) {
	const day = 24 * time.Hour
	for _, life := range []time.Duration{time.Millisecond, time.Second, time.Minute, day, 365 * day} {
		t.Run(life.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memstore.New()
				set(t, s, "long", "data", life)
				set(t, s, "short", "data", min(life, time.Second))
				time.Sleep(life / 2)
				s.Get(t.Context(), "long") // must not lengthen its life
				time.Sleep(life/2 - 1)
				if n := s.Cells(); n == 0 {
					t.Error("the long-lived key was removed before it expired")
				}
				time.Sleep(2*life + 10*time.Second)
				if n := s.Cells(); n != 0 {
					t.Errorf("%d keys are held; want 0", n)
				}
				if s.Armed() {
					t.Error("a timer is armed")
				}
			})
		})
	}
}

func TestShortLivedKeyIsRemovedBesideALongLivedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		set(t, s, "long", "data", 24*time.Hour)
		time.Sleep(12 * time.Hour)
		set(t, s, "short", "data", time.Second)
		time.Sleep(4 * time.Second)
		if n := s.Cells(); n != 1 {
			t.Errorf("%d keys are held; want 1, the long-lived one", n)
		}
	})
}

func TestForeverArmsNoTimer(t *testing.T) {
	s := memstore.New()
	set(t, s, "k", "data", driver.Forever)
	if s.Armed() {
		t.Error("a timer is armed")
	}
}

func TestCloseStopsTheTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		set(t, s, "k", "data", time.Hour)
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
		if n := s.Cells(); n != 0 {
			t.Errorf("%d keys are held; want 0", n)
		}
		time.Sleep(2 * time.Hour)
		if err := s.Close(); err == nil {
			t.Error("Close of a closed store = nil; want an error")
		}
	})
}

func TestCloseEndsSubscriptions(t *testing.T) {
	s := memstore.New()
	fn := func(inv driver.Invalidation) { t.Errorf("fn was called with %+v", inv) }
	stop, err := s.Subscribe(t.Context(), fn)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := s.Publish(t.Context(), driver.Invalidation{Prefix: "p"}); err == nil {
		t.Error("Publish = nil; want an error")
	}
	stop()
}

func TestEndedContextChangesNothing(t *testing.T) {
	s := memstore.New()
	set(t, s, "k", "data", driver.Forever)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := driver.Record{Data: []byte("new"), TTL: time.Minute}
	_, getting := s.Get(ctx, "k")
	_, adding := s.Add(ctx, "new", r)
	_, expiring := s.Expire(ctx, "k", time.Minute)
	_, deleting := s.Delete(ctx, "k")
	_, clearing := s.Clear(ctx, "")
	_, acquiring := s.Acquire(ctx, "new", driver.Ask{Token: "0123456789abcdef", Lease: time.Minute})
	_, renewing := s.Renew(ctx, "k", "token", time.Minute)
	_, committing := s.Commit(ctx, "k", "token", r)
	_, aborting := s.Abort(ctx, "k", "token")
	for op, err := range map[string]error{
		"Get": getting, "Set": s.Set(ctx, "k", r), "Add": adding, "Expire": expiring,
		"Delete": deleting, "Clear": clearing, "Acquire": acquiring, "Renew": renewing,
		"Commit": committing, "Abort": aborting,
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s = %v; want %v", op, err, context.Canceled)
		}
	}
	wantData(t, s, "k", "data")
	wantMiss(t, s, "new")
}

func TestAbortOverAnExpiredRecordLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		set(t, s, "k", "data", time.Second)
		r, err := s.Get(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		ask := driver.Ask{Token: "0123456789abcdef", Lease: time.Minute, Seen: r.Version}
		c, err := s.Acquire(t.Context(), "k", ask)
		if err != nil || c.State != driver.Won {
			t.Fatalf("Acquire = %v, %v; want won", c.State, err)
		}
		time.Sleep(2 * time.Second)
		if live, err := s.Abort(t.Context(), "k", c.Token); !live || err != nil {
			t.Errorf("Abort = %v, %v; want true", live, err)
		}
		if n := s.Cells(); n != 0 {
			t.Errorf("%d keys are held; want 0", n)
		}
	})
}

func TestSubscribersDoNotShareKeys(t *testing.T) {
	s := memstore.New()
	keys := []string{"k"}
	for range 2 {
		stop, err := s.Subscribe(t.Context(), func(inv driver.Invalidation) {
			if inv.Keys[0] != "k" {
				t.Errorf("fn was called with %q; want k", inv.Keys)
			}
			inv.Keys[0] = "changed"
		})
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
	}
	if err := s.Publish(t.Context(), driver.Invalidation{Keys: keys}); err != nil || keys[0] != "k" {
		t.Errorf("Publish = %v, and keys = %q afterwards; want nil and k", err, keys)
	}
}

func TestWakeChannelsAreForgotten(t *testing.T) {
	s := memstore.New()
	_, first := s.Wake(t.Context(), "k")
	_, second := s.Wake(t.Context(), "k")
	first()
	if n := s.Waiting(); n != 1 {
		t.Errorf("%d keys have channels; want 1", n)
	}
	second()
	if n := s.Waiting(); n != 0 {
		t.Errorf("%d keys have channels; want 0", n)
	}
}

func TestAskNeedsATokenAndATime(t *testing.T) {
	s := memstore.New()
	tokens := []string{
		"", "short", "a-dot.is-for-the-store", "a-space in-the-token", string(make([]byte, 65)),
	}
	for _, token := range tokens {
		if c, err := s.Acquire(t.Context(), "k", driver.Ask{Token: token, Lease: time.Minute}); err == nil {
			t.Errorf("Acquire with token %q = %v; want an error", token, c.State)
		}
	}
	if c, err := s.Acquire(t.Context(), "k", driver.Ask{Token: "0123456789abcdef"}); err == nil {
		t.Errorf("Acquire without a time = %v; want an error", c.State)
	}
}

func TestWrongOptionsPanic(t *testing.T) {
	for name, option := range map[string]func(int) memstore.Option{
		"WithCapacity": memstore.WithCapacity, "WithMaxBytes": memstore.WithMaxBytes,
	} {
		for _, n := range []int{0, -1} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s(%d) does not panic", name, n)
					}
				}()
				memstore.New(option(n))
			}()
		}
	}
}

func set(t *testing.T, s *memstore.Store, key, data string, ttl time.Duration) {
	t.Helper()
	if err := s.Set(t.Context(), key, driver.Record{Data: []byte(data), TTL: ttl}); err != nil {
		t.Fatalf("Set: %v", err)
	}
}

func acquire(t *testing.T, s *memstore.Store, key, token string) string {
	t.Helper()
	c, err := s.Acquire(t.Context(), key, driver.Ask{Token: token, Lease: time.Minute})
	if err != nil || c.State != driver.Won {
		t.Fatalf("Acquire = %v, %v; want won", c.State, err)
	}
	return c.Token
}

func wantCommit(t *testing.T, s *memstore.Store, key, token string, want bool) {
	t.Helper()
	r := driver.Record{Data: []byte("committed"), TTL: time.Minute}
	if stored, err := s.Commit(t.Context(), key, token, r); stored != want || err != nil {
		t.Errorf("Commit = %v, %v; want %v", stored, err, want)
	}
}

func wantData(t *testing.T, s *memstore.Store, key, data string) {
	t.Helper()
	if r, err := s.Get(t.Context(), key); err != nil || string(r.Data) != data {
		t.Errorf("Get(%q) = %q, %v; want %q", key, r.Data, err, data)
	}
}

func wantMiss(t *testing.T, s *memstore.Store, key string) {
	t.Helper()
	if r, err := s.Get(t.Context(), key); !errors.Is(err, driver.ErrMiss) {
		t.Errorf("Get(%q) = %q, %v; want a miss", key, r.Data, err)
	}
}
