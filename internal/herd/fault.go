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

// A Fault is done to the herd during a run, once or repeatedly.
type Fault struct {
	Kind  FaultKind
	At    time.Duration // when it first happens, after the start of the run
	Every time.Duration // the interval of repetition; 0 = once
	For   time.Duration // how long it lasts, if its kind lasts
	Times int           // how often it happens at most; 0 = until the run is over
	Size  int           // its size, in the unit of its kind
}

// A FaultKind names a fault.
type FaultKind string

// The faults. They stop and kill only workers that are not stopped at the time.
const (
	// FreezeWorker stops any worker with SIGSTOP, for For.
	FreezeWorker FaultKind = "freeze"

	// FreezeFetching stops a worker for For, at a random instant of a fetch or soon after it.
	FreezeFetching FaultKind = "freeze-fetching"

	// KillWorker kills any worker with SIGKILL, and starts another.
	KillWorker FaultKind = "kill"

	// KillFetching kills a worker at a random instant of a fetch or soon after it, and starts
	// another.
	KillFetching FaultKind = "kill-fetching"

	// KillRedis kills Redis with SIGKILL, and starts it again, empty, after For.
	KillRedis FaultKind = "kill-redis"

	// FreezeRedis stops Redis with SIGSTOP, for For.
	FreezeRedis FaultKind = "freeze-redis"

	// Promote cuts the replica off for For, kills Redis, and promotes the replica.
	Promote FaultKind = "promote"

	// ClientPause sends CLIENT PAUSE with For.
	ClientPause FaultKind = "client-pause"

	// ScriptFlush sends SCRIPT FLUSH.
	ScriptFlush FaultKind = "script-flush"

	// FlushAll sends FLUSHALL.
	FlushAll FaultKind = "flushall"

	// KillPubSub sends CLIENT KILL TYPE pubsub.
	KillPubSub FaultKind = "kill-pubsub"

	// Evict writes Size keys of 1 kB, so that Redis evicts others.
	Evict FaultKind = "evict"

	// ProxyDelay makes data between clients and Redis take Size milliseconds longer, each way,
	// for For.
	ProxyDelay FaultKind = "proxy-delay"

	// ProxyCut closes all connections.
	ProxyCut FaultKind = "proxy-cut"

	// ProxyHole makes the proxy accept connections and data and answer nothing, for For. Then
	// it closes all connections.
	ProxyHole FaultKind = "proxy-black-hole"
)

// faults implements the kinds.
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

// inflict starts a goroutine for each fault, which makes it happen until the run is over or ctx
// ends. The function it returns waits for these goroutines and must be called.
func (h *herd) inflict(ctx context.Context) (wait func() error) {
	remaining := time.Duration(h.begin + h.Duration.Nanoseconds() - Now())
	ctx, cancel := context.WithDeadline(ctx, time.Now().Add(remaining))
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

// repeat makes one fault happen at its times, one after another. If it takes longer than Every, it
// happens again at once, but times that were missed are not made up for. An error after ctx has
// ended is ignored: the run is over.
func (h *herd) repeat(ctx context.Context, f *Fault) error {
	do := faults[f.Kind]
	if do == nil {
		return fmt.Errorf("no fault %q", f.Kind)
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

// anyone returns a worker that is not stopped, or nil.
func (h *herd) anyone() *process {
	h.mu.Lock()
	defer h.mu.Unlock()
	for proc, w := range h.workers { // in random order
		if !h.frozen[proc] {
			return w
		}
	}
	return nil
}

// fetching waits for a fetch to begin. It returns the worker that fetches, or nil if that worker is
// stopped or killed already, and what the origin tells about the fetch.
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

// freezeFetching stops a worker during a fetch, or up to 5 ms after the longest fetch.
func (h *herd) freezeFetching(ctx context.Context, f *Fault) error {
	w, _, err := h.fetching(ctx)
	if err != nil {
		return err
	}
	time.Sleep(rand.N(h.Fetch[1] + 5*time.Millisecond))
	return h.freeze(ctx, w, f)
}

// freeze stops a worker for f.For and logs a Freeze. It does nothing if w is nil.
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
	if errors.Is(err, os.ErrProcessDone) { // another fault has killed the worker
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

// replace kills a worker and starts another. It does nothing if w is nil.
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

// killFetching kills a worker during a fetch, or up to 3 ms after the longest fetch. It logs a Kill
// with the end of the worker's lease, after which others may fetch.
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

// leaseEnd returns when the lease on a key ends, or 0 if there is none. It takes a key of Redis for
// a lease if its time to live is at most that of leases, since values live longer.
func (h *herd) leaseEnd(ctx context.Context, key uint32) (int64, error) {
	names, err := h.admin.Keys(ctx, "*").Result()
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		prefix, ok := strings.CutSuffix(name, strconv.Itoa(int(key)))
		// A digit before the number is part of another key: 12 ends like 2.
		if !ok || strings.TrimRight(prefix, "0123456789") != prefix {
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

// away logs an Outage for the time in which do runs.
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

// clientPause logs an Outage only if the pause is at least as long as the store timeout. The
// commands of workers wait for the end of a shorter one.
func (h *herd) clientPause(ctx context.Context, f *Fault) error {
	if err := h.admin.ClientPause(ctx, f.For).Err(); err != nil {
		return err
	}
	if f.For < h.storeTimeout() {
		return nil
	}
	return h.away(func() error { time.Sleep(f.For); return nil })
}

// evict writes keys that nobody reads. Redis may have no room for them, which is no error.
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

// evicted returns an error if the scenario has the fault Evict and Redis has evicted nothing.
func (h *herd) evicted(ctx context.Context) error {
	if !slices.ContainsFunc(h.Faults, func(f Fault) bool { return f.Kind == Evict }) {
		return nil
	}
	info, err := h.admin.Info(ctx, "stats").Result()
	if err == nil && strings.Contains(info, "evicted_keys:0\r") {
		err = errors.New("redis has evicted nothing")
	}
	return err
}

func (h *herd) proxyDelay(_ context.Context, f *Fault) error {
	h.proxy.Delay(time.Duration(f.Size) * time.Millisecond)
	time.Sleep(f.For)
	h.proxy.Delay(0)
	return nil
}

// proxyCut logs an Outage without duration: the calls under way fail.
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
