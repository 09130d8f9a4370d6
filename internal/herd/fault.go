package herd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Fault is something that happens during a run: first at At, and then every Every, if that is not 0. It may last For.
type Fault struct {
	Kind  FaultKind
	At    time.Duration
	Every time.Duration
	For   time.Duration
	Times int // at most; 0 = as often as there is time for
	Size  int // of what there is of it
}

// A FaultKind names a fault.
type FaultKind string

// The faults.
const (
	FreezeWorker   FaultKind = "freeze"           // SIGSTOP any worker
	FreezeFetching FaultKind = "freeze-fetching"  // SIGSTOP the worker that has begun a fetch
	KillWorker     FaultKind = "kill"             // SIGKILL any worker, and start another
	KillFetching   FaultKind = "kill-fetching"    // SIGKILL the worker that has begun a fetch, at any instant of it, and start another
	KillRedis      FaultKind = "kill-redis"       // SIGKILL Redis, start it again after For, empty
	FreezeRedis    FaultKind = "freeze-redis"     // SIGSTOP Redis
	Promote        FaultKind = "promote"          // cut the replica off for For, SIGKILL Redis, promote the replica
	ClientPause    FaultKind = "client-pause"     // CLIENT PAUSE for For
	ScriptFlush    FaultKind = "script-flush"     // SCRIPT FLUSH
	FlushAll       FaultKind = "flushall"         // FLUSHALL
	KillPubSub     FaultKind = "kill-pubsub"      // CLIENT KILL TYPE pubsub
	Evict          FaultKind = "evict"            // write Size keys of 1 kB, so that others are evicted
	ProxyDelay     FaultKind = "proxy-delay"      // For: everything takes Size milliseconds longer, each way
	ProxyCut       FaultKind = "proxy-cut"        // all connections end
	ProxyHole      FaultKind = "proxy-black-hole" // For: connections are accepted, nothing is answered
)

// faults do what the kinds say.
var faults = map[FaultKind]func(*herd, context.Context, *Fault) error{
	FreezeWorker:   (*herd).freezeAny,
	FreezeFetching: (*herd).freezeFetching,
	KillWorker:     (*herd).killAny,
	KillFetching:   (*herd).killFetching,
	KillRedis:      (*herd).killRedis,
	FreezeRedis:    (*herd).freezeRedis,
	Promote:        (*herd).promote,
	ClientPause:    (*herd).clientPause,
	ScriptFlush: func(h *herd, ctx context.Context, _ *Fault) error {
		return h.admin.ScriptFlush(ctx).Err()
	},
	FlushAll: func(h *herd, ctx context.Context, _ *Fault) error {
		return h.admin.FlushAll(ctx).Err()
	},
	KillPubSub: func(h *herd, ctx context.Context, _ *Fault) error {
		return h.admin.ClientKillByFilter(ctx, "TYPE", "pubsub").Err()
	},
	Evict:      (*herd).evict,
	ProxyDelay: (*herd).proxyDelay,
	ProxyCut:   (*herd).proxyCut,
	ProxyHole:  (*herd).proxyHole,
}

// inflict makes the faults happen, and returns a function that waits for the last.
func (h *herd) inflict(ctx context.Context) (wait func() error) {
	ctx, cancel := context.WithDeadline(ctx, time.Now().Add(time.Duration(h.begin+h.Duration.Nanoseconds()-Now())))
	errs := make([]error, len(h.Faults))
	var wg sync.WaitGroup
	for i := range h.Faults {
		wg.Go(func() { errs[i] = h.repeat(ctx, &h.Faults[i]) })
	}
	return func() error {
		defer cancel()
		wg.Wait()
		return errors.Join(errs...)
	}
}

// repeat makes one fault happen at its times, which are not made up for when they are missed.
func (h *herd) repeat(ctx context.Context, f *Fault) error {
	do := faults[f.Kind]
	if do == nil {
		return fmt.Errorf("there is no fault %q", f.Kind)
	}
	at := h.begin + f.At.Nanoseconds()
	for n := 0; (f.Times == 0 || n < f.Times) && sleepUntil(ctx, at); n++ {
		if err := do(h, ctx, f); err != nil && ctx.Err() == nil {
			return fmt.Errorf("%s: %w", f.Kind, err)
		}
		if f.Every == 0 {
			return nil
		}
		at = max(Now(), at+f.Every.Nanoseconds())
	}
	return nil
}

// anyone returns a worker that is not frozen, or nil.
func (h *herd) anyone() *process {
	h.mu.Lock()
	defer h.mu.Unlock()
	for proc, w := range h.workers { // in no particular order
		if !h.frozen[proc] {
			return w
		}
	}
	return nil
}

// fetching waits for a fetch to begin, and returns the worker if it still runs.
func (h *herd) fetching(ctx context.Context) (*process, answer, error) {
	a, err := h.watch.ask(ctx, askNext, 0)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.frozen[a.Proc] {
		return nil, a, err
	}
	return h.workers[a.Proc], a, err
}

func (h *herd) freezeAny(ctx context.Context, f *Fault) error { return h.freeze(ctx, h.anyone(), f) }

func (h *herd) freezeFetching(ctx context.Context, f *Fault) error {
	w, _, err := h.fetching(ctx)
	if err != nil {
		return err
	}
	time.Sleep(rand.N(h.Fetch[1] + 5*time.Millisecond))
	return h.freeze(ctx, w, f)
}

// freeze stops a worker for some time.
func (h *herd) freeze(_ context.Context, w *process, f *Fault) error {
	if w == nil {
		return nil
	}
	h.setFrozen(w, true)
	defer h.setFrozen(w, false)
	e := Event{Kind: Freeze, Proc: w.orders.Proc, Start: Now()}
	err := freeze(w.cmd.Process)
	if err == nil {
		time.Sleep(f.For)
		err = thaw(w.cmd.Process)
		e.End = Now()
		h.log.Add(e)
	}
	if errors.Is(err, os.ErrProcessDone) { // another fault has killed it
		return nil
	}
	return err
}

func (h *herd) setFrozen(w *process, is bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.frozen[w.orders.Proc] = is
}

func (h *herd) killAny(_ context.Context, _ *Fault) error { return h.replace(h.anyone()) }

// replace kills a worker and starts another.
func (h *herd) replace(w *process) error {
	if w == nil {
		return nil
	}
	h.mu.Lock()
	delete(h.workers, w.orders.Proc)
	h.ended = append(h.ended, w)
	h.mu.Unlock()
	w.kill()
	next, err := h.addWorker()
	if err != nil {
		return err
	}
	return next.start(h.begin)
}

// killFetching kills a worker during a fetch, or shortly after it, and logs when the others may take over.
func (h *herd) killFetching(ctx context.Context, _ *Fault) error {
	w, a, err := h.fetching(ctx)
	if w == nil || err != nil {
		return err
	}
	time.Sleep(rand.N(h.Fetch[1] + 3*time.Millisecond))
	e := Event{Kind: Kill, Proc: w.orders.Proc, Key: a.Key, Serial: a.Value.Serial, Start: Now()}
	if err := w.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if e.End, err = h.leaseEnd(ctx, a.Key); err != nil {
		return err
	}
	h.log.Add(e)
	return h.replace(w)
}

// leaseEnd returns when the lease on a key ends, or 0 if there is none. There is one if Redis has the key for no longer than
// leases last.
func (h *herd) leaseEnd(ctx context.Context, key uint32) (int64, error) {
	names, err := h.admin.Keys(ctx, "*").Result()
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		prefix, ok := strings.CutSuffix(name, strconv.Itoa(int(key)))
		if !ok || strings.TrimRight(prefix, "0123456789") != prefix { // another key, which ends alike
			continue
		}
		left, err := h.admin.PTTL(ctx, name).Result()
		if err != nil {
			return 0, err
		}
		if 0 < left && left <= h.lease() {
			return Now() + left.Nanoseconds(), nil
		}
	}
	return 0, nil
}

// away logs an outage of the store while do runs.
func (h *herd) away(do func() error) error {
	e := Event{Kind: Loss, Code: uint32(Outage), Start: Now()}
	err := do()
	e.End = Now()
	h.log.Add(e)
	return err
}

func (h *herd) killRedis(_ context.Context, f *Fault) error {
	return h.away(func() error {
		h.redis.Kill()
		time.Sleep(f.For)
		return h.redis.Restart()
	})
}

func (h *herd) freezeRedis(_ context.Context, f *Fault) error {
	return h.away(func() error {
		err := h.redis.Stop()
		time.Sleep(f.For)
		return errors.Join(err, h.redis.Cont())
	})
}

// clientPause is an outage only to those who do not wait for its end.
func (h *herd) clientPause(ctx context.Context, f *Fault) error {
	if err := h.admin.ClientPause(ctx, f.For).Err(); err != nil {
		return err
	}
	if f.For < h.storeTimeout() {
		return nil
	}
	return h.away(func() error { time.Sleep(f.For); return nil })
}

// evict writes what nobody needs. That Redis has no room for it at times is as intended.
func (h *herd) evict(ctx context.Context, f *Fault) error {
	filler := strings.Repeat("x", 1000)
	_, err := h.admin.Pipelined(ctx, func(p redis.Pipeliner) error {
		for range f.Size {
			p.Set(ctx, "filler:"+strconv.Itoa(rand.Int()), filler, time.Minute)
		}
		return nil
	})
	if redis.IsOOMError(err) {
		return nil
	}
	return err
}

// evicted makes sure that there was eviction if there was to be.
func (h *herd) evicted(ctx context.Context) error {
	if !slices.ContainsFunc(h.Faults, func(f Fault) bool { return f.Kind == Evict }) {
		return nil
	}
	info, err := h.admin.Info(ctx, "stats").Result()
	if err == nil && strings.Contains(info, "evicted_keys:0\r") {
		err = errors.New("nothing was evicted")
	}
	return err
}

func (h *herd) proxyDelay(_ context.Context, f *Fault) error {
	h.proxy.Delay(time.Duration(f.Size) * time.Millisecond)
	time.Sleep(f.For)
	h.proxy.Delay(0)
	return nil
}

// proxyCut is an outage of no time: calls under way fail.
func (h *herd) proxyCut(_ context.Context, _ *Fault) error {
	return h.away(func() error { h.proxy.Cut(); return nil })
}

func (h *herd) proxyHole(_ context.Context, f *Fault) error {
	return h.away(func() error {
		h.proxy.Hole(true)
		time.Sleep(f.For)
		h.proxy.Hole(false)
		return nil
	})
}
