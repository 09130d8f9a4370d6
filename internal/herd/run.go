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

// A herd is the processes of a run, as the process that started them sees them.
type herd struct {
	*Scenario
	mode  string
	dir   string
	log   *Log
	redis *redistest.Server
	admin *redis.Client // of redis, past the proxy
	proxy *proxy
	watch originClient // asks the origin what goes on
	begin int64

	replica     *redistest.Server
	replication *proxy

	origin      *process
	invalidator *process

	mu      sync.Mutex // guards the fields below
	proc    uint32     // the last one given
	workers map[uint32]*process
	frozen  map[uint32]bool
	ended   []*process
}

// Run runs a scenario in a mode and returns what its logs say.
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

// logRoom is how many events a process may log.
const logRoom = 2_000_000

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

// cpu returns the processor time of all children, which have ended.
func (h *herd) cpu() (sum time.Duration) {
	for _, p := range append(append(h.all(), h.ended...), h.origin, h.invalidator) {
		if p != nil {
			sum += p.cpu()
		}
	}
	return sum
}

func (h *herd) number() uint32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.proc++
	return h.proc
}

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

// endAll waits for the children to end, the origin last.
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

// close ends whatever is still there.
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

func (h *herd) all() []*process {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []*process
	for _, w := range h.workers {
		all = append(all, w)
	}
	return all
}
