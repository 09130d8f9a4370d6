package memstore_test

import (
	"context"
	crypto "crypto/rand"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/memstore"
)

// TestNothingOlderThanAnInvalidationIsRead has goroutines that produce a number's value under leases while others
// invalidate it, in every way there is, and evict it. A reader never gets a value older than the last invalidation that
// had returned when it began. In virtual time all have their turns, and those whose turns coincide run side by side.
func TestNothingOlderThanAnInvalidationIsRead(t *testing.T) { synctest.Test(t, checkNothingOlder) }

func checkNothingOlder(t *testing.T) {
	h := &hammer{s: memstore.New(memstore.WithCapacity(2))}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for range 2 {
		for _, act := range []func(context.Context, *testing.T){h.produce, h.produceLate, h.read, h.invalidate, h.evict} {
			wg.Go(func() {
				for ctx.Err() == nil {
					act(ctx, t)
					pause(20)
				}
			})
		}
	}
	wg.Wait()
	if h.hits.Load() == 0 || h.refused.Load() == 0 || h.stored.Load() == 0 {
		t.Errorf("%d hits, %d commits, %d refused; want some of each", h.hits.Load(), h.stored.Load(), h.refused.Load())
	}
}

// A hammer is a store under a number that only grows.
type hammer struct {
	s      *memstore.Store
	number atomic.Int64 // what there is to be cached
	turn   atomic.Int64

	mu          sync.Mutex // held during an invalidation
	invalidated atomic.Int64

	hits, stored, refused atomic.Int64
}

// produce stores the number under a lease.
func (h *hammer) produce(ctx context.Context, t *testing.T) { h.fetch(ctx, t, func() {}) }

// produceLate is produce that takes its time.
func (h *hammer) produceLate(ctx context.Context, t *testing.T) {
	h.fetch(ctx, t, func() { pause(20) })
}

func (h *hammer) fetch(ctx context.Context, t *testing.T, linger func()) {
	ask := driver.Ask{Token: crypto.Text(), Lease: time.Second, Force: h.turn.Add(1)%4 == 0}
	c, err := h.s.Acquire(ctx, "k", ask)
	if err != nil || c.State != driver.Won {
		return
	}
	n := h.number.Load()
	linger()
	stored, err := h.s.Commit(ctx, "k", c.Token, numbered(n))
	switch {
	case err != nil && ctx.Err() == nil:
		t.Errorf("Commit: %v", err)
	case stored:
		h.stored.Add(1)
	default:
		h.refused.Add(1)
	}
}

func (h *hammer) read(ctx context.Context, t *testing.T) {
	oldest := h.invalidated.Load()
	r, err := h.s.Get(ctx, "k")
	if errors.Is(err, driver.ErrMiss) || ctx.Err() != nil {
		return
	}
	h.hits.Add(1)
	if n, _ := strconv.ParseInt(string(r.Data), 10, 64); n < oldest {
		t.Errorf("Get = %d; want at least %d", n, oldest)
	}
}

// invalidate changes the number and then makes what is cached void.
func (h *hammer) invalidate(ctx context.Context, t *testing.T) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.number.Add(1)
	var err error
	switch n % 3 {
	case 0:
		_, err = h.s.Delete(ctx, "k")
	case 1:
		_, err = h.s.Clear(ctx, "k")
	case 2:
		err = h.s.Set(ctx, "k", numbered(n))
	}
	if err == nil {
		h.invalidated.Store(n)
	}
}

// evict puts something else where there is room for two.
func (h *hammer) evict(ctx context.Context, _ *testing.T) {
	_ = h.s.Set(ctx, strconv.FormatInt(h.turn.Add(1)%3, 10), numbered(0))
	pause(100)
}

// pause lets up to n microseconds go by.
func pause(n int) { time.Sleep(time.Duration(rand.N(n)) * time.Microsecond) }

func numbered(n int64) driver.Record {
	return driver.Record{Data: strconv.AppendInt(nil, n, 10), TTL: time.Minute}
}
