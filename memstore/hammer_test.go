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

// TestReadsAreNotOlderThanTheLastInvalidation stores a number that only grows. Some goroutines
// store it under leases, while others invalidate the key in every way there is, or evict it. A
// reader must never get a number older than the last invalidation that had returned when the read
// began. Time is virtual, so every goroutine gets its turns, and goroutines whose turns come at the
// same time run side by side.
func TestReadsAreNotOlderThanTheLastInvalidation(t *testing.T) { synctest.Test(t, checkAge) }

func checkAge(t *testing.T) {
	h := &hammer{s: memstore.New(memstore.WithCapacity(2))}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for range 2 {
		acts := []func(context.Context, *testing.T){h.store, h.storeLate, h.read, h.invalidate, h.evict}
		for _, act := range acts {
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
		t.Errorf("%d hits, %d commits, %d refused; want some of each",
			h.hits.Load(), h.stored.Load(), h.refused.Load())
	}
}

// A hammer is a store with one key, and the number to keep there.
type hammer struct {
	s      *memstore.Store
	number atomic.Int64 // the current number; grows with every invalidation
	turn   atomic.Int64 // makes calls differ

	mu          sync.Mutex   // held during an invalidation
	invalidated atomic.Int64 // the number of the last invalidation that has returned

	hits, stored, refused atomic.Int64
}

// store stores the number under a lease.
func (h *hammer) store(ctx context.Context, t *testing.T) { h.fetch(ctx, t, func() {}) }

// storeLate is store with a pause between reading and storing the number.
func (h *hammer) storeLate(ctx context.Context, t *testing.T) {
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

// invalidate changes the number, and then invalidates the key.
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

// evict stores other keys. There is room for two keys only.
func (h *hammer) evict(ctx context.Context, _ *testing.T) {
	_ = h.s.Set(ctx, strconv.FormatInt(h.turn.Add(1)%3, 10), numbered(0))
	pause(100)
}

// pause waits for up to n microseconds.
func pause(n int) { time.Sleep(time.Duration(rand.N(n)) * time.Microsecond) }

func numbered(n int64) driver.Record {
	return driver.Record{Data: strconv.AppendInt(nil, n, 10), TTL: time.Minute}
}
