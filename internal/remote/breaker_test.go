package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/faults"
)

// faultsOf returns the faults that the shard of key has had since its last success.
func faultsOf(c *Client) int32 {
	if b := c.backend.breaker(key); b != nil {
		return b.faults.Load()
	}
	return 0
}

func TestBreakerCountsAFaultOnce(t *testing.T) {
	fault := errors.New("connection refused")
	c := newClient(t, newStore(t))
	for range 2 * breakAfter {
		c.saw(key, faults.Shared(fault))
	}
	for range breakAfter - 1 {
		c.saw(key, fault)
		c.saw(key, context.Canceled) // says neither
	}
	if !c.allows(key) {
		t.Errorf("the store is left alone after %d faults", breakAfter-1)
	}
	if c.saw(key, fault); c.allows(key) {
		t.Errorf("the store is asked after %d faults in a row", breakAfter)
	}
}

// reads sends n reads.
func reads(t *testing.T, c *Client, n int) (err error) {
	for range n {
		b := c.NewBudget()
		_, err = c.ReadLeft(t.Context(), &b, key)
	}
	return err
}

func skipped(err error) bool {
	bad, ok := errors.AsType[*OpError](err)
	return ok && bad.Skipped()
}

func TestStoreThatKeepsFailingIsOnlyProbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		var logged []slog.Level
		c := newClient(t, s, func(cfg *Config) {
			cfg.Log = func(level slog.Level, _ string, _ ...any) { logged = append(logged, level) }
		})
		s.fail()
		if err := reads(t, c, breakAfter); skipped(err) || s.total() != breakAfter {
			t.Errorf("read %d = %v; want it sent", breakAfter, err)
		}
		if err := reads(t, c, 10); !skipped(err) || s.total() != breakAfter {
			t.Errorf("a read after %d faults = %v, %d commands were sent; want it skipped", breakAfter, err, s.total())
		}
		newWrite(c, &writeOwner{}, value("1")).Set(t.Context())
		if s.count("Set") != 1 {
			t.Error("a write was not sent")
		}

		stall(s, nil) // a caller that probed would wait
		for second := range 3 {
			time.Sleep(breakFor + 1)
			start, before := time.Now(), s.count("Get")
			if err := reads(t, c, 3); !skipped(err) || time.Since(start) != 0 {
				t.Errorf("a read that comes with a probe = %v after %v; want it skipped at once", err, time.Since(start))
			}
			synctest.Wait()
			if n := s.count("Get") - before; n != 1 {
				t.Errorf("%d probes in second %d; want 1", n, second)
			}
			time.Sleep(c.Timeout) // the probe fails now
			synctest.Wait()
		}

		s.heal()
		time.Sleep(breakFor + 1)
		if err := reads(t, c, 1); !skipped(err) {
			t.Errorf("a read that comes with a probe = %v; want it skipped", err)
		}
		synctest.Wait()
		if err := reads(t, c, 1); !errors.Is(err, driver.ErrMiss) {
			t.Errorf("a read after a probe that succeeded = %v; want ErrMiss", err)
		}
		if want := []slog.Level{slog.LevelError, slog.LevelInfo}; !slices.Equal(logged, want) {
			t.Errorf("logged %v; want %v", logged, want)
		}
	})
}

// A reply is an error that a client of Redis returns for an error of the server.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

func TestBreakerCountsFaultsOfTheStoreInARow(t *testing.T) {
	for name, tt := range map[string]struct {
		errs []error // repeated
		open bool
	}{
		"Faults":           {[]error{errDown}, true},
		"Misses":           {[]error{driver.ErrMiss}, false},
		"Cancellations":    {[]error{context.Canceled}, false},
		"TimeLimits":       {[]error{context.DeadlineExceeded}, true},
		"MissesBetween":    {[]error{errDown, errDown, errDown, errDown, driver.ErrMiss}, false},
		"SuccessesBetween": {[]error{errDown, errDown, errDown, errDown, nil}, false},
		"LeaversBetween":   {[]error{errDown, context.Canceled}, true},
		"Refusals":         {[]error{fmt.Errorf("too large: %w", driver.ErrRefused)}, false},
		"RefusalsBetween":  {[]error{errDown, errDown, errDown, errDown, driver.ErrRefused}, false},
		"Replies":          {[]error{reply("OOM command not allowed")}, false},
		"WrongTypes":       {[]error{reply("WRONGTYPE Operation against a key")}, false},
		"Loading":          {[]error{reply("LOADING Redis is loading the dataset")}, true},
		"WrongPassword":    {[]error{reply("WRONGPASS invalid username-password pair")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, n := newStore(t), 0
				s.put(t, value("1"))
				c := newClient(t, s)
				s.setBefore(func(context.Context, string, string) error {
					n++
					return tt.errs[(n-1)%len(tt.errs)]
				})
				if err := reads(t, c, 3*breakAfter); skipped(err) != tt.open {
					t.Errorf("the last read = %v; want it skipped: %v", err, tt.open)
				}
			})
		})
	}
}
