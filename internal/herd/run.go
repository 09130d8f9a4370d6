package herd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/internal/redistest"
)

// A herd is a run in progress. It belongs to the process that called Run.
type herd struct {
	*Scenario
	mode  string
	dir   string            // of the logs and of the origin's socket
	log   *Log              // of this process: the faults
	redis *redistest.Server // the server that the children reach
	admin *redis.Client     // connects to redis directly, even if there is a proxy
	proxy *proxy            // between the children and redis, or nil
	watch originClient      // waits for reads of the origin, for the faults that need one
	begin int64             // when the callers start; a time of Now

	replica     *redistest.Server // or nil; Promote swaps it with redis
	replication *proxy            // between replica and redis, or nil

	origin      *process
	invalidator *process // or nil

	mu      sync.Mutex          // guards the fields below
	proc    uint32              // the last process number given
	workers map[uint32]*process // by process number, without those that faults have killed
	frozen  map[uint32]bool     // the workers that are stopped now
	ended   []*process          // the workers that faults have killed
}

// Run runs a scenario in a mode and returns what the logs say. It returns when all processes that
// it has started have ended. If it fails, or if ctx ends before the run does, it returns an error
// and no Result.
func Run(ctx context.Context, s *Scenario, mode string) (*Result, error) {
	dir, err := os.MkdirTemp("", "herd")
	if err != nil {
		return nil, err
	}
	h := &herd{Scenario: s, mode: mode, dir: dir, workers: map[uint32]*process{}, frozen: map[uint32]bool{}}
	usage, err := h.run(ctx)
	h.close()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("herd: %s, %s: %w", s.Name, mode, err), os.RemoveAll(dir))
	}
	events, err := ReadLogs(dir)
	if err != nil {
		return nil, err
	}
	r := Check(s, events, h.begin)
	r.Busy, r.Herd = usage.machine, usage.ours
	return r, os.RemoveAll(dir)
}

// logRoom is the number of events for which a log has room.
const logRoom = 2_000_000

// run starts the processes, makes the faults happen, and waits for the end of the run.
func (h *herd) run(ctx context.Context) (u usage, err error) {
	if h.log, err = CreateLog(h.dir, h.number(), logRoom); err != nil {
		return u, err
	}
	if err := h.openRedis(ctx); err != nil {
		return u, err
	}
	if err := h.spawnAll(); err != nil {
		return u, err
	}
	before := readJiffies()
	h.begin = Now() + int64(200*time.Millisecond)
	if err := h.startAll(); err != nil {
		return u, err
	}
	faults := h.inflict(ctx)
	if !sleepUntil(ctx, h.begin+h.Duration.Nanoseconds()) {
		err = ctx.Err()
	}
	u.machine = readJiffies().busySince(before)
	err = errors.Join(err, faults(), h.evicted(ctx), h.endAll())
	u.ours = h.cpu().Seconds() / h.Duration.Seconds() / float64(runtime.NumCPU())
	return u, err
}

// cpu returns the processor time that all children have used. They have ended.
func (h *herd) cpu() (sum time.Duration) {
	for _, p := range append(append(h.all(), h.ended...), h.origin, h.invalidator) {
		if p != nil {
			sum += p.cpu()
		}
	}
	return sum
}

// number returns a new process number. The process that called Run has the first.
func (h *herd) number() uint32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.proc++
	return h.proc
}

// openRedis starts Redis, and the proxy and the replica if the scenario has them.
func (h *herd) openRedis(ctx context.Context) (err error) {
	if h.redis, err = redistest.Launch(ctx, "", h.RedisArgs...); err != nil {
		return err
	}
	h.admin = newClient(h.redis.Addr())
	if h.NoPubSub {
		if err := h.admin.Do(ctx, "ACL", "SETUSER", "default", "resetchannels").Err(); err != nil {
			return err
		}
	}
	if h.Proxy {
		if h.proxy, err = newProxy(h.redis.Addr()); err != nil {
			return err
		}
	}
	if h.Replica {
		return h.openReplica(ctx)
	}
	return nil
}

// orders returns the orders for a new child.
func (h *herd) orders(p part) *orders {
	o := &orders{
		Part: p, Proc: h.number(), Mode: h.mode, Dir: h.dir, Room: logRoom,
		Origin: filepath.Join(h.dir, "origin"), Redis: h.redis.Addr(), Scenario: *h.Scenario,
	}
	if h.proxy != nil {
		o.Redis = h.proxy.Addr()
	}
	return o
}

// spawnAll starts the children and returns when all of them are ready. The origin comes first,
// because the others connect to it.
func (h *herd) spawnAll() (err error) {
	if h.origin, err = spawn(h.orders(partOrigin)); err != nil {
		return err
	}
	h.watch.address = h.origin.orders.Origin
	for range h.Workers {
		if _, err := h.addWorker(); err != nil {
			return err
		}
	}
	if h.Invalidate > 0 {
		h.invalidator, err = spawn(h.orders(partInvalidator))
	}
	return err
}

func (h *herd) addWorker() (*process, error) {
	p, err := spawn(h.orders(partWorker))
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.workers[p.orders.Proc] = p
	return p, nil
}

// startAll tells the children when to begin.
func (h *herd) startAll() error {
	errs := []error{h.origin.start(h.begin)}
	for _, w := range h.workers {
		errs = append(errs, w.start(h.begin))
	}
	if h.invalidator != nil {
		errs = append(errs, h.invalidator.start(h.begin))
	}
	return errors.Join(errs...)
}

// endAll waits until the workers and the invalidator have ended by themselves. Then it ends the
// origin.
func (h *herd) endAll() error {
	var errs []error
	for _, w := range h.workers {
		errs = append(errs, w.end(callTimeout+10*time.Second))
	}
	if h.invalidator != nil {
		errs = append(errs, h.invalidator.end(callTimeout+10*time.Second))
	}
	errs = append(errs, h.watch.Close(), h.origin.stdin.Close(), h.origin.end(10*time.Second))
	return errors.Join(append(errs, h.log.Close())...)
}

// close kills the children that are left, and closes the proxies and the servers.
func (h *herd) close() {
	for _, p := range append(h.all(), h.origin, h.invalidator) {
		if p != nil {
			p.kill()
		}
	}
	if h.proxy != nil {
		_ = h.proxy.Close()
	}
	if h.admin != nil {
		_ = h.admin.Close()
	}
	if h.redis != nil {
		h.redis.Close()
	}
	h.closeReplica()
}

// all returns the workers that faults have not killed.
func (h *herd) all() []*process {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []*process
	for _, w := range h.workers {
		all = append(all, w)
	}
	return all
}
