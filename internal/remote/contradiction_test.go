package remote

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/record"
)

// Whatever a store answers, a fetch asks it a few times with pauses, takes the lease by force, and
// goes without if that does not help.
func TestStoreThatContradictsItselfIsAskedAFewTimes(t *testing.T) {
	tombstone := func(kind record.Kind, ttl time.Duration) driver.Record {
		rec := record.Record{Kind: kind, Created: time.Now()}
		return driver.Record{Data: rec.AppendTo(nil), TTL: ttl, Tombstone: true}
	}
	whole := func(r driver.Record, version string) driver.Claim {
		r.Version = version
		return driver.Claim{State: driver.Hit, Record: r, Whole: true}
	}
	short := value("v")
	short.TTL = time.Microsecond
	for name, answer := range map[string]func(n int) driver.Claim{
		"HitThenMiss": func(n int) driver.Claim {
			return driver.Claim{State: driver.Hit, Record: driver.Record{Version: fmt.Sprint(n)}}
		},
		"HitOfTheRecordSeen": func(int) driver.Claim { return whole(value("v"), "seen") },
		"HitOfAnotherRecordOfNoUse": func(n int) driver.Claim {
			return whole(driver.Record{Data: []byte("foreign"), TTL: time.Hour}, fmt.Sprint(n))
		},
		"HitThatHasEnded":     func(n int) driver.Claim { return whole(short, fmt.Sprint(n)) },
		"TombstoneForEver":    func(int) driver.Claim { return whole(tombstone(record.Skipped, driver.Forever), "t") },
		"ErrorForEver":        func(int) driver.Claim { return whole(tombstone(record.Failed, driver.Forever), "t") },
		"TombstoneOfAValue":   func(int) driver.Claim { return whole(tombstone(record.Value, time.Second), "t") },
		"TombstoneOfNoRecord": func(int) driver.Claim { return whole(driver.Record{TTL: 1, Tombstone: true}, "t") },
	} {
		for _, yields := range []bool{true, false} {
			t.Run(fmt.Sprint(name, "/yields=", yields), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, start := newStore(t), time.Now()
					forced := false
					s.setBefore(func(context.Context, string, string) error {
						time.Sleep(time.Millisecond)
						return nil
					})
					f := newFetch(newClient(t, s, func(cfg *Config) {
						cfg.Store = forcedStore{s, &forced}
						cfg.Remembers = true
					}), &owner{}, func(f *Fetch) { f.Seen = "seen" })
					s.setClaim(func(c *driver.Claim) {
						if !forced || !yields {
							*c = answer(s.count("Acquire"))
						}
					})
					call := f.Acquire()
					if !call || f.leased != yields || f.Err != nil {
						t.Errorf("Acquire = %v, %v, leased = %v; want true, nil, %v", call, f.Err, f.leased, yields)
					}
					if n, d := s.total(), time.Since(start); n > 8 || d > 200*time.Millisecond || s.count("Acquire") > 2 && d < 5*time.Millisecond {
						t.Errorf("%d commands in %v; want at most 8, and pauses from the second ask on", n, d)
					}
					f.Close()
				})
			})
		}
	}
}

// A forcedStore notes that it was asked by force.
type forcedStore struct {
	*fakeStore
	forced *bool
}

func (s forcedStore) Acquire(ctx context.Context, key string, ask driver.Ask) (driver.Claim, error) {
	*s.forced = ask.Force
	return s.fakeStore.Acquire(ctx, key, ask)
}

// A wokenStore wakes its waiters all the time.
type wokenStore struct{ *fakeStore }

func (wokenStore) Wake(context.Context, string) (<-chan struct{}, func()) {
	woken := make(chan struct{})
	close(woken)
	return woken, func() {}
}

func TestWaiterAsksNoMoreOftenThanItPolls(t *testing.T) {
	for name, cfg := range map[string]func(*Config){
		"LeaseThatIsAlwaysAboutToEnd": polling,
		"ForgedWakeUps":               func(cfg *Config) { cfg.Store = wokenStore{cfg.Store.(*fakeStore)} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				s.hold(t, "another", time.Hour)
				if name == "LeaseThatIsAlwaysAboutToEnd" {
					s.setClaim(func(c *driver.Claim) { c.Left = 0 })
				}
				f := newFetch(newClient(t, s, cfg, func(cfg *Config) { cfg.Wait = 2 * time.Second }), &owner{})
				if call := f.Acquire(); !call || f.leased {
					t.Errorf("Acquire = %v, %v, leased = %v; want true after WithWait", call, f.Err, f.leased)
				}
				if n := s.count("Acquire"); n > 150 {
					t.Errorf("asked %d times in 2 seconds; want at most 150", n)
				}
			})
		})
	}
}
