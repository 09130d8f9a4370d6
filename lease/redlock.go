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

	// drift is how much faster the clocks of nodes may run than the holder's, as a share of p.
	drift = 0.01
)

// Redlock is [TryRedlock] with the default options. It panics if TryRedlock returns an error.
func Redlock(clients ...redis.UniversalClient) driver.Guard {
	g, err := TryRedlock(clients)
	if err != nil {
		panic(err)
	}
	return g
}

// TryRedlock returns a Guard over an odd number of Redis servers, the nodes. The nodes must be
// independent: no replicas, and not two clients of one server, which TryRedlock cannot notice. A
// right takes more than half of the nodes, so two of five nodes may be lost. The error names all
// wrong arguments. TryRedlock sends nothing to the nodes. It does not close the clients.
//
// A node that restarts without its data must stay away for as long as rights last. Otherwise it may
// let in a second holder.
//
// TryAcquire asks all nodes at once. It waits for all nodes that answer in time
// ([WithNodeTimeout]), so that as many nodes as possible hold the right. Its answers are:
//
//   - true: more than half of the nodes gave the right. They keep it for 1 % and 2 ms longer
//     than p, so that it does not end before the holder's time is over, even if clocks differ.
//   - false: more than half of the nodes answered, and at least one said that another has the
//     right. The other may only be trying as well.
//   - An error: too few nodes answered to tell, ctx has ended, or p is under a millisecond.
//
// If the right was not won, TryAcquire takes back what single nodes gave.
//
// Extend returns false if the right is lost: so many nodes do not know it any more that the
// others are no majority. An error means that too few nodes answered to tell, that ctx has ended,
// or that p is under a millisecond. The right then lasts at least as long as before, and Extend
// may be tried again.
//
// Release asks all nodes to forget the right, whether or not ctx has ended. An error means that
// more than half of the nodes did not answer. They may keep the right until its time is over.
// Release never gives back what another holds.
//
// No call takes longer than two node timeouts. TryAcquire and Extend also end with ctx. Commands
// that are still under way go on in the background. If an answer comes too late to count, its
// right is taken back. With a client that does not heed contexts, this takes as long as the
// client's own timeouts. A client without timeouts may tie up as many goroutines as it has
// connections, if a server stalls.
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

// An Option is a setting of [TryRedlock]. Later options win.
type Option interface{ apply(*redlock) }

type option func(*redlock)

func (o option) apply(g *redlock) { o(g) }

// WithPrefix sets the text in front of each key in the nodes. It keeps rights apart from values, in
// case a node holds both. So it must not be empty, and must not begin with "zodiac:".
//
// By default, the prefix is "zodiac-lock:".
func WithPrefix(prefix string) Option {
	return option(func(g *redlock) { g.prefix = prefix })
}

// WithNodeTimeout sets how long a node may take to answer. It should be several round trips, and
// much less than the time of a right. TryAcquire and Extend give a node a fifth of p if that is
// less. A node that stalls delays every call by this time. d must be at least a millisecond.
//
// By default, the timeout is 100 milliseconds.
func WithNodeTimeout(d time.Duration) Option {
	return option(func(g *redlock) { g.timeout = d })
}

// checkClients returns an error for each wrong client. Messages count clients from 0.
func checkClients(clients []redis.UniversalClient) error {
	var errs []error
	if n := len(clients); n == 0 {
		errs = append(errs, errors.New("lease: Redlock: no clients"))
	} else if n%2 == 0 {
		errs = append(errs, fmt.Errorf("lease: Redlock: an even number of clients (%d) survives "+
			"no more than one less: give an odd one", n))
	}
	seen := map[uintptr]int{}
	for i, c := range clients {
		v := reflect.ValueOf(c)
		if !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
			errs = append(errs, fmt.Errorf("lease: Redlock: client %d is nil", i))
		} else if v.Kind() == reflect.Pointer {
			if first, ok := seen[v.Pointer()]; ok {
				errs = append(errs, fmt.Errorf("lease: Redlock: client %d is client %d once more: "+
					"nodes must be independent", i, first))
			} else {
				seen[v.Pointer()] = i
			}
		}
	}
	return errors.Join(errs...)
}

// A redlock is the Guard of TryRedlock. The algorithm is redsync's. This package adds that every
// call has an end, and what the answers of the nodes mean.
type redlock struct {
	pools   *redsync.Redsync
	nodes   int
	prefix  string
	timeout time.Duration // of a node, for one call
}

// check returns an error for each wrong option.
func (g *redlock) check() error {
	var errs []error
	if g.prefix == "" || strings.HasPrefix(g.prefix, "zodiac:") {
		errs = append(errs, fmt.Errorf("lease: WithPrefix(%q): rights would be among the values", g.prefix))
	}
	if g.timeout < time.Millisecond {
		errs = append(errs, fmt.Errorf("lease: WithNodeTimeout(%v): at least a millisecond is needed", g.timeout))
	}
	return errors.Join(errs...)
}

// mutex returns a redsync mutex for a right of p. Each mutex is used by one call only, because it
// is not safe for concurrent use and cannot change its expiry. Its method Lock, which polls, is
// never called.
func (g *redlock) mutex(name string, p time.Duration, opts ...redsync.Option) *redsync.Mutex {
	longer := p + time.Duration(drift*float64(p)) + 2*time.Millisecond
	return g.pools.NewMutex(name, append(opts,
		redsync.WithTries(1),
		redsync.WithExpiry(longer),
		redsync.WithDriftFactor(drift),
		redsync.WithTimeoutFactor(float64(g.budget(p))/float64(longer)),
	)...)
}

// budget returns how long a node may take to answer about a right of p.
func (g *redlock) budget(p time.Duration) time.Duration { return min(g.timeout, p/5) }

// spare returns how many nodes may be missing from a majority.
func (g *redlock) spare() int { return (g.nodes - 1) / 2 }

func (g *redlock) TryAcquire(ctx context.Context, key string, p time.Duration) (driver.Held, bool, error) {
	if err := check(ctx, p); err != nil {
		return nil, false, err
	}
	m := g.mutex(g.prefix+key, p)
	h := &held{guard: g, name: m.Name()}
	// Not with ctx: redsync takes back with the context it tried with. If that had ended, redsync
	// would leave behind what nodes gave. The timeout of the mutex bounds both.
	detached := context.WithoutCancel(ctx)
	value, err := watch(ctx,
		func() (string, error) { err := m.TryLockContext(detached); return m.Value(), err },
		func(value string, err error) {
			if err == nil {
				h.value = value
				_ = h.Release(detached) // if this fails, the right ends by itself
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

// A held is a right that was won. On the nodes it has a random value, which only its holder knows.
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

// count returns how many nodes said no, and how many did not answer, according to an error of
// redsync. If a majority said no, the error does not tell how many did not answer, and silent is
// 0.
func count(err error) (no, silent int) {
	switch e := err.(type) { //nolint:errorlint // wrapped errors of clients have no meaning here
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
