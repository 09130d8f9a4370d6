package lease

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/go-redsync/redsync/v4"
	"github.com/redis/go-redis/v9"
	"github.com/zodiac-go/zodiac/driver"
)

const (
	defaultPrefix      = "zodiac-lock:"
	defaultNodeTimeout = 100 * time.Millisecond

	// drift is how much faster than the holder's the clocks of nodes may run, as a share of the time.
	drift = 0.01
)

// Redlock is [TryRedlock] with the default options, but panics if that returns an error.
func Redlock(clients ...redis.UniversalClient) driver.Guard {
	g, err := TryRedlock(clients)
	if err != nil {
		panic(err)
	}
	return g
}

// TryRedlock returns a Guard over an odd number of Redis servers, the nodes, that have nothing to do with each other: no
// replicas, and not two clients of one server, which it cannot notice. Who is let in by more than half of them has the
// right, so with five nodes two may be lost. The error tells of all wrong arguments; no node is asked yet. The clients are not
// closed.
//
// A node that is restarted without its data must stay away for as long as rights last, or it may let in a second holder.
//
// TryAcquire asks all nodes at once, and waits for all that answer in time ([WithNodeTimeout]), so that the right is held by as many
// of them as possible. If the right was not won, what single nodes gave is taken back from them.
//
//   - Won: more than half of the nodes let the holder in. They keep the right for 1 % and 2 ms longer than p, so that it
//     does not end before its holder's time, though clocks differ.
//   - Busy: more than half of the nodes answered, and some said that another has it, who may only be trying too.
//   - An error: too few nodes answered to tell, ctx has ended, or p is under a millisecond.
//
// Extend returns false if so many nodes know nothing of the right anymore that the others are no majority: it is lost. An
// error means as above that too few answered; the right then lasts at least as long as before, and Extend may be tried again.
//
// Release asks all nodes to forget the right, whether or not ctx has ended. An error means that half of the nodes or more did not
// answer, and may keep it until its time is over. They never give back what another holds.
//
// No call takes longer than two node timeouts, and TryAcquire and Extend end with ctx. What is then still under way goes on in the
// background: an answer of a node that comes too late to count is taken back. That takes as long as the client's own
// timeouts, if it does not heed contexts; a client without timeouts ties up as many goroutines as it has connections if a server
// stalls.
func TryRedlock(clients []redis.UniversalClient, opts ...Option) (driver.Guard, error) {
	g := &redlock{nodes: len(clients), prefix: defaultPrefix, timeout: defaultNodeTimeout}
	for _, o := range opts {
		o.apply(g)
	}
	if err := errors.Join(checkClients(clients), g.check()); err != nil {
		return nil, err
	}
	g.pools = newPools(clients, g.timeout)
	return g, nil
}

// An Option changes how [TryRedlock] works. Later ones win.
type Option interface{ apply(*redlock) }

type option func(*redlock)

func (o option) apply(g *redlock) { o(g) }

// WithPrefix sets what comes before the key in the nodes. It keeps rights away from values, should a node hold these too, and
// so must not be empty or begin with "zodiac:". By default, it is "zodiac-lock:".
func WithPrefix(prefix string) Option {
	return option(func(g *redlock) { g.prefix = prefix })
}

// WithNodeTimeout sets how long a node may take to answer: several round trips, and far less than rights are asked for. Of short
// rights a node gets a fifth of their time, if that is less. A node that stalls delays every call by this much. By default, it
// is 100 milliseconds.
func WithNodeTimeout(d time.Duration) Option {
	return option(func(g *redlock) { g.timeout = d })
}

func checkClients(clients []redis.UniversalClient) error {
	var errs []error
	if n := len(clients); n == 0 {
		errs = append(errs, errors.New("lease: Redlock: no clients"))
	} else if n%2 == 0 {
		errs = append(errs, fmt.Errorf("lease: Redlock: an even number of clients (%d) survives no more than one less: give an odd one", n))
	}
	seen := map[uintptr]int{}
	for i, c := range clients {
		v := reflect.ValueOf(c)
		if !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
			errs = append(errs, fmt.Errorf("lease: Redlock: client %d is nil", i))
		} else if v.Kind() == reflect.Pointer {
			if first, ok := seen[v.Pointer()]; ok {
				errs = append(errs, fmt.Errorf("lease: Redlock: client %d is client %d once more: nodes must be independent", i, first))
			} else {
				seen[v.Pointer()] = i
			}
		}
	}
	return errors.Join(errs...)
}

// A redlock is a Guard. The algorithm is redsync's; ours is that every call has an end, and what its answers mean.
type redlock struct {
	pools   *redsync.Redsync
	nodes   int
	prefix  string
	timeout time.Duration
}

func (g *redlock) check() error {
	var errs []error
	if g.prefix == "" || strings.HasPrefix(g.prefix, "zodiac:") {
		errs = append(errs, fmt.Errorf("lease: WithPrefix(%q): rights would be where values are", g.prefix))
	}
	if g.timeout < time.Millisecond {
		errs = append(errs, fmt.Errorf("lease: WithNodeTimeout(%v): at least a millisecond is needed", g.timeout))
	}
	return errors.Join(errs...)
}

// mutex returns redsync's idea of a right for p. Each is used by one call only: they are not safe for concurrent use, and cannot
// change how long they are for. Its polling Lock is never called.
func (g *redlock) mutex(name string, p time.Duration, opts ...redsync.Option) *redsync.Mutex {
	longer := p + time.Duration(drift*float64(p)) + 2*time.Millisecond
	return g.pools.NewMutex(name, append(opts,
		redsync.WithTries(1),
		redsync.WithExpiry(longer),
		redsync.WithDriftFactor(drift),
		redsync.WithTimeoutFactor(float64(g.budget(p))/float64(longer)),
	)...)
}

// budget returns how long nodes may take to answer about a right for p.
func (g *redlock) budget(p time.Duration) time.Duration { return min(g.timeout, p/5) }

// spare returns how many nodes may be missing from a majority.
func (g *redlock) spare() int { return (g.nodes - 1) / 2 }

func (g *redlock) TryAcquire(ctx context.Context, key string, p time.Duration) (driver.Held, bool, error) {
	if err := check(ctx, p); err != nil {
		return nil, false, err
	}
	m := g.mutex(g.prefix+key, p)
	h := &held{guard: g, name: m.Name()}
	// Not under ctx: redsync takes back under the context it tried under, and would leave behind what nodes gave if that
	// had ended. Its own timeout bounds both.
	detached := context.WithoutCancel(ctx)
	value, err := watch(ctx,
		func() (string, error) { err := m.TryLockContext(detached); return m.Value(), err },
		func(value string, err error) {
			if err == nil {
				h.value = value
				_ = h.Release(detached) // it ends by itself at last
			}
		})
	if err == nil {
		h.value = value
		return h, true, nil
	}
	if ctx.Err() != nil {
		return nil, false, ctx.Err()
	}
	if no, silent := count(err); no > 0 && silent <= g.spare() {
		return nil, false, nil
	}
	return nil, false, err
}

// A held is a right of whoever knows its value.
type held struct {
	guard *redlock
	name  string
	value string
}

func (h *held) Extend(ctx context.Context, p time.Duration) (bool, error) {
	if err := check(ctx, p); err != nil {
		return false, err
	}
	limited, cancel := context.WithTimeout(ctx, h.guard.budget(p))
	defer cancel()
	ok, err := h.guard.mutex(h.name, p, redsync.WithValue(h.value)).ExtendContext(limited)
	if ok {
		return true, nil
	}
	if no, _ := count(err); no > h.guard.spare() {
		return false, nil
	}
	return false, errors.Join(ctx.Err(), err)
}

func (h *held) Release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.guard.timeout)
	defer cancel()
	_, err := h.guard.mutex(h.name, time.Second, redsync.WithValue(h.value)).UnlockContext(ctx)
	if _, silent := count(err); silent > h.guard.spare() {
		return err
	}
	return nil
}

// count returns of an error of redsync's how many nodes said no, and how many did not answer. If a majority said no, that is all
// it tells.
func count(err error) (no, silent int) {
	switch e := err.(type) { //nolint:errorlint // every part is looked at, and what a client's error wraps means nothing here
	case *redsync.ErrTaken:
		return len(e.Nodes), 0
	case *redsync.ErrNodeTaken:
		return 1, 0
	case *redsync.RedisError:
		return 0, 1
	case interface{ Unwrap() []error }:
		for _, part := range e.Unwrap() {
			n, s := count(part)
			no, silent = no+n, silent+s
		}
	}
	return no, silent
}
