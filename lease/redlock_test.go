package lease_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/lease"
)

const lock = "zodiac-lock:k" // the key of the right on k in a node

// short is a node timeout for tests in which nodes do not answer.
const short = 500 * time.Millisecond

// A fleet has the nodes of a Redlock.
type fleet struct {
	t       *testing.T
	servers []*redistest.Server
	own     []*redis.Client // for looking at the data of the nodes
	mode    mode
	timeout time.Duration // of a node; long for busy machines, unless nodes will not answer
	before  int           // number of goroutines before the first call
}

// A mode is how clients treat contexts.
type mode string

const (
	heedsContext   mode = "heeds_context"   // a command ends with its context
	ignoresContext mode = "ignores_context" // a command waits until it is answered
)

func newFleet(t *testing.T, n int, m mode) *fleet {
	t.Helper()
	f := &fleet{t: t, mode: m, timeout: 5 * time.Second}
	for range n {
		s := redistest.Start(t)
		f.servers = append(f.servers, s)
		f.own = append(f.own, f.client(&redis.Options{Addr: s.Addr()}))
	}
	f.before = runtime.NumGoroutine()
	return f
}

func (f *fleet) client(o *redis.Options) *redis.Client {
	// Maintenance notifications have goroutines of their own.
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	c := redis.NewClient(o)
	f.t.Cleanup(func() { c.Close() })
	return c
}

// clients returns new clients for all nodes, as another process would have.
func (f *fleet) clients() []redis.UniversalClient {
	cs := make([]redis.UniversalClient, len(f.servers))
	for i, s := range f.servers {
		o := &redis.Options{Addr: s.Addr(), ContextTimeoutEnabled: true}
		if f.mode == ignoresContext {
			o = &redis.Options{
				Addr:        s.Addr(),
				ReadTimeout: -1, WriteTimeout: -1, DialTimeout: time.Hour, MaxRetries: 1000,
			}
		}
		cs[i] = f.client(o)
	}
	return cs
}

// guard returns a new Guard with connections to all nodes.
func (f *fleet) guard() driver.Guard {
	f.t.Helper()
	return f.over(f.clients())
}

// over returns a Guard over clients, and connects them.
func (f *fleet) over(clients []redis.UniversalClient) driver.Guard {
	f.t.Helper()
	g, err := lease.TryRedlock(clients, lease.WithNodeTimeout(f.timeout))
	if err != nil {
		f.t.Fatal(err)
	}
	for _, c := range clients {
		_ = c.Ping(f.t.Context()).Err() // some nodes may be down
	}
	return g
}

// kill ends the servers of nodes.
func (f *fleet) kill(nodes ...int) {
	for _, i := range nodes {
		f.servers[i].Kill()
	}
}

// stall suspends nodes until goOn is called, or the test ends.
func (f *fleet) stall(nodes ...int) (goOn func()) {
	f.t.Helper()
	goOn = func() {
		for _, i := range nodes {
			f.servers[i].Cont()
		}
	}
	for _, i := range nodes {
		if err := f.servers[i].Stop(); err != nil {
			f.t.Fatal(err)
		}
	}
	f.t.Cleanup(goOn)
	return goOn
}

// take gives the right on k to another holder, on nodes.
func (f *fleet) take(nodes ...int) {
	f.t.Helper()
	for _, i := range nodes {
		if err := f.own[i].Set(f.t.Context(), lock, "another", time.Minute).Err(); err != nil {
			f.t.Fatal(err)
		}
	}
}

// forget makes nodes lose all data.
func (f *fleet) forget(nodes ...int) {
	f.t.Helper()
	for _, i := range nodes {
		if err := f.own[i].FlushAll(f.t.Context()).Err(); err != nil {
			f.t.Fatal(err)
		}
	}
}

// holding returns how many of nodes have any data.
func (f *fleet) holding(nodes ...int) (n int) {
	f.t.Helper()
	for _, i := range nodes {
		size, err := f.own[i].DBSize(f.t.Context()).Result()
		if err != nil {
			f.t.Fatal(err)
		}
		if size > 0 {
			n++
		}
	}
	return n
}

// goroutinesEnd fails the test if goroutines of calls do not end.
func (f *fleet) goroutinesEnd() {
	f.t.Helper()
	if !goroutinesEnd(f.before) {
		f.t.Errorf("%d goroutines; want at most %d, as before", runtime.NumGoroutine(), f.before)
	}
}

// becomesEmpty fails the test if nodes have any data once the goroutines of all calls have ended.
func (f *fleet) becomesEmpty(nodes ...int) {
	f.t.Helper()
	f.goroutinesEnd()
	if n := f.holding(nodes...); n != 0 {
		f.t.Errorf("%d nodes still hold a right", n)
	}
}

// quick fails the test if call takes longer than two node timeouts, with allowance for a busy
// machine.
func (f *fleet) quick(call func()) {
	f.t.Helper()
	begin := time.Now()
	call()
	if took := time.Since(begin); took > 2*f.timeout+5*time.Second {
		f.t.Errorf("the call took %v; want at most two timeouts of %v", took, f.timeout)
	}
}

// cannotTell fails the test unless TryAcquire quickly returns an error that is not its context's.
func (f *fleet) cannotTell(g driver.Guard) {
	f.t.Helper()
	f.quick(func() {
		held, ok, err := g.TryAcquire(f.t.Context(), "k", time.Minute)
		if held != nil || ok || err == nil {
			f.t.Errorf("TryAcquire = %v, %v, %v; want an error", held, ok, err)
		}
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			f.t.Errorf("TryAcquire = %v; want an error that is not the context's", err)
		}
	})
}

// inModes runs a test with five nodes, once for each kind of client. A short run has the first kind
// alone, since the nodes stall for seconds.
func inModes(t *testing.T, test func(t *testing.T, f *fleet)) {
	modes := []mode{heedsContext, ignoresContext}
	if testing.Short() {
		modes = modes[:1]
	}
	for _, m := range modes {
		t.Run(string(m), func(t *testing.T) { test(t, newFleet(t, 5, m)) })
	}
}

var all = []int{0, 1, 2, 3, 4}

func TestRedlockExcludesByKeyBetweenGuards(t *testing.T) {
	f := newFleet(t, 5, heedsContext)
	g, other := f.guard(), f.guard()
	held := won(t, g, "k", time.Minute)
	busy(t, g, "k")
	busy(t, other, "k")
	if n := f.holding(all...); n != 5 {
		t.Errorf("%d nodes hold the right; want all", n)
	}
	release(t, won(t, other, "l", time.Minute))
	release(t, held)
	if n := f.holding(all...); n != 0 {
		t.Errorf("%d nodes hold a right that was released", n)
	}
	release(t, won(t, other, "k", time.Minute))
}

func TestRedlockOfOneNode(t *testing.T) {
	f := newFleet(t, 1, heedsContext)
	f.timeout = short
	g := f.guard()
	held := won(t, g, "k", time.Minute)
	busy(t, g, "k")
	extends(t, held, time.Minute, true)
	release(t, held)
	f.kill(0)
	f.cannotTell(g)
}

func TestRedlockWorksWithTwoOfFiveNodesDown(t *testing.T) {
	f := newFleet(t, 5, ignoresContext)
	f.timeout = short
	g, other := f.guard(), f.guard()
	early := won(t, g, "k", time.Minute)
	f.kill(1, 3)
	f.quick(func() { busy(t, other, "k") })
	f.quick(func() { extends(t, early, time.Minute, true) })
	f.quick(func() { release(t, early) })
	f.quick(func() {
		held := won(t, other, "k", time.Minute)
		busy(t, g, "k")
		release(t, held)
	})
	if n := f.holding(0, 2, 4); n != 0 {
		t.Errorf("%d nodes hold a right that was released", n)
	}
}

func TestRedlockCannotTellWithThreeOfFiveNodesDown(t *testing.T) {
	f := newFleet(t, 5, ignoresContext)
	f.timeout = short
	g := f.guard()
	held := won(t, g, "l", time.Minute)
	f.kill(0, 2, 4)
	f.cannotTell(g)
	for _, i := range []int{1, 3} {
		if n := f.own[i].Exists(t.Context(), lock).Val(); n != 0 {
			t.Errorf("node %d holds a right that was not won", i)
		}
	}
	f.quick(func() {
		if ok, err := held.Extend(t.Context(), time.Minute); ok || err == nil {
			t.Errorf("Extend = %v, %v; want an error", ok, err)
		}
	})
	f.quick(func() {
		if err := held.Release(t.Context()); err == nil {
			t.Error("Release = nil; want an error")
		}
	})
}

func TestRedlockWaitsForAStalledNodeOnlyItsTimeout(t *testing.T) {
	inModes(t, func(t *testing.T, f *fleet) {
		f.timeout = short
		g := f.guard()
		release(t, won(t, g, "k", time.Minute)) // makes connections
		goOn := f.stall(2)
		var held driver.Held
		f.quick(func() { held = won(t, g, "k", time.Minute) })
		f.quick(func() { busy(t, g, "k") })
		f.quick(func() { extends(t, held, time.Minute, true) })
		f.quick(func() { release(t, held) })
		goOn()
		f.endsAfterStall(2)
	})
}

func TestRedlockCannotTellWithThreeOfFiveNodesStalled(t *testing.T) {
	inModes(t, func(t *testing.T, f *fleet) {
		f.timeout = short
		g := f.guard()
		release(t, won(t, g, "k", time.Minute))
		goOn := f.stall(0, 1, 2)
		f.cannotTell(g)
		if n := f.holding(3, 4); n != 0 {
			t.Errorf("%d nodes hold a right that was not won", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		begin := time.Now()
		if _, ok, err := g.TryAcquire(ctx, "k", time.Minute); ok || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("TryAcquire = %v, %v; want its context's error", ok, err)
		}
		if took := time.Since(begin); took > f.timeout {
			t.Errorf("TryAcquire took %v after its context had ended", took)
		}
		goOn()
		f.endsAfterStall(all...)
	})
}

// endsAfterStall checks that nothing is left of calls to nodes that were stalled. A client that
// heeds contexts closes its connection when a context ends, and does not learn whether its
// command was carried out. Then a node may keep a right until its time is over, so only
// goroutines are checked.
func (f *fleet) endsAfterStall(nodes ...int) {
	f.t.Helper()
	if f.mode == ignoresContext {
		f.becomesEmpty(nodes...)
	} else {
		f.goroutinesEnd()
	}
}

func TestRedlockRightEndsAfterItsTimeAndAnotherTakesOver(t *testing.T) {
	f := newFleet(t, 5, heedsContext)
	const p = time.Second
	first, g := f.guard(), f.guard()
	begin := time.Now()
	old := won(t, first, "k", p)
	var held driver.Held
	for held == nil {
		h, ok, err := g.TryAcquire(t.Context(), "k", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			held = h
		}
	}
	if after := time.Since(begin); after < p || after > p+p/2 {
		t.Errorf("another took over after %v; want %v", after, p)
	}
	extends(t, old, time.Minute, false)
	release(t, old)
	busy(t, f.guard(), "k")
	extends(t, held, time.Minute, true)
	release(t, held)
	extends(t, held, time.Minute, false)
}

func TestRedlockExtendCountsFromNowOnEveryNode(t *testing.T) {
	f := newFleet(t, 5, heedsContext)
	held := won(t, f.guard(), "k", time.Minute)
	for _, p := range []time.Duration{time.Minute, 1500 * time.Millisecond, time.Hour} {
		extends(t, held, p, true)
		for i, c := range f.own {
			left := c.PTTL(t.Context(), lock).Val()
			if most := p + p/100 + 2*time.Millisecond; left < p-500*time.Millisecond || left > most {
				t.Errorf("after Extend(%v) node %d keeps the right for %v", p, i, left)
			}
		}
	}
}

func TestRedlockRightIsLostIfAMajorityForgotIt(t *testing.T) {
	f := newFleet(t, 5, heedsContext)
	held := won(t, f.guard(), "k", time.Minute)
	f.forget(0, 1)
	extends(t, held, time.Minute, true)
	f.take(0, 1)
	extends(t, held, time.Minute, true)
	f.forget(2)
	extends(t, held, time.Minute, false)
	release(t, held)
	for i, want := range []string{"another", "another", "", "", ""} {
		if value := f.own[i].Get(t.Context(), lock).Val(); value != want {
			t.Errorf("node %d holds %q; want %q", i, value, want)
		}
	}
}

func TestRedlockExtendCannotTellIfTheSilentNodesDecide(t *testing.T) {
	f := newFleet(t, 5, heedsContext)
	f.timeout = short
	held := won(t, f.guard(), "k", time.Minute)
	f.forget(0)
	f.kill(1, 2)
	if ok, err := held.Extend(t.Context(), time.Minute); ok || err == nil {
		t.Errorf("Extend = %v, %v with two nodes that agree and two silent; want an error", ok, err)
	}
	f.forget(3, 4)
	extends(t, held, time.Minute, false)
	release(t, held)
}

func TestRedlockIsBusyIfAMajorityAnsweredAndOneSaysTaken(t *testing.T) {
	f := newFleet(t, 5, heedsContext)
	f.timeout = short
	g := f.guard()
	f.take(0, 1)
	release(t, won(t, g, "k", time.Minute)) // on the other nodes
	f.take(2)
	busy(t, g, "k")
	f.forget(1, 2)
	f.kill(3, 4)
	busy(t, g, "k") // two nodes give the right, one does not
	if n := f.holding(1, 2); n != 0 {
		t.Errorf("%d nodes hold a right that was not won", n)
	}
	f.kill(1)
	f.cannotTell(g)
}

func TestRedlockCanceledAttemptLeavesNothingBehind(t *testing.T) {
	inModes(t, func(t *testing.T, f *fleet) {
		g := f.guard()
		release(t, won(t, g, "k", time.Minute))
		ended := 0
		for range 300 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(rand.N(time.Millisecond), cancel)
			held, ok, err := g.TryAcquire(ctx, fmt.Sprintf("k%d", rand.IntN(50)), time.Minute)
			switch {
			case ok:
				if err := held.Release(ctx); err != nil {
					t.Errorf("Release = %v", err)
				}
			case errors.Is(err, context.Canceled):
				ended++
			case err != nil:
				t.Errorf("TryAcquire = %v", err)
			}
			cancel()
		}
		if ended == 0 {
			t.Error("no attempt was canceled while it ran")
		}
		f.becomesEmpty(all...)
	})
}

// A gate delays SET commands to a node until it is closed as a channel, like a slow network.
type gate chan struct{}

func (g gate) DialHook(next redis.DialHook) redis.DialHook { return next }
func (g gate) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (g gate) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() != "set" {
			return next(ctx, cmd)
		}
		<-g
		return next(context.WithoutCancel(ctx), cmd)
	}
}

func TestRedlockTakesBackARightThatArrivesAfterItsRelease(t *testing.T) {
	f := newFleet(t, 3, ignoresContext)
	f.timeout = short
	clients, slow := f.clients(), make(gate)
	clients[1].(*redis.Client).AddHook(slow)
	g := f.over(clients)
	held := won(t, g, "k", time.Minute)
	busy(t, g, "k")
	release(t, held)
	close(slow)
	f.becomesEmpty(0, 1, 2)
}

func TestRedlockReleaseDoesNotNeedItsContext(t *testing.T) {
	f := newFleet(t, 3, heedsContext)
	ctx, cancel := context.WithCancel(t.Context())
	held, ok, err := f.guard().TryAcquire(ctx, "k", time.Minute)
	if !ok || err != nil {
		t.Fatalf("TryAcquire = %v, %v", ok, err)
	}
	cancel()
	if ok, err := held.Extend(ctx, time.Minute); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("Extend = %v, %v; want its context's error", ok, err)
	}
	if err := held.Release(ctx); err != nil {
		t.Errorf("Release = %v", err)
	}
	if n := f.holding(0, 1, 2); n != 0 {
		t.Errorf("%d nodes still hold the right", n)
	}
}

func TestRedlockHasOneHolderAtATime(t *testing.T) {
	f := newFleet(t, 3, heedsContext)
	var inside, entered atomic.Int32
	var group sync.WaitGroup
	for range 4 {
		g := f.guard()
		group.Go(func() {
			for range 100 {
				held, ok, err := g.TryAcquire(t.Context(), "k", time.Minute)
				if err != nil {
					t.Errorf("TryAcquire = %v", err)
				}
				if !ok {
					continue
				}
				entered.Add(1)
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d goroutines hold the right; want 1", n)
				}
				time.Sleep(time.Millisecond)
				inside.Add(-1)
				release(t, held)
			}
		})
	}
	group.Wait()
	if entered.Load() == 0 {
		t.Error("no attempt won the right")
	}
}

func TestRedlockRefusesShortTimes(t *testing.T) {
	f := newFleet(t, 1, heedsContext)
	g := f.guard()
	held := won(t, g, "k", time.Minute)
	for _, p := range []time.Duration{-1, 0, time.Millisecond - 1} {
		if h, ok, err := g.TryAcquire(t.Context(), "l", p); h != nil || ok || err == nil {
			t.Errorf("TryAcquire for %v = %v, %v, %v; want an error", p, h, ok, err)
		}
		if ok, err := held.Extend(t.Context(), p); ok || err == nil {
			t.Errorf("Extend for %v = %v, %v; want an error", p, ok, err)
		}
	}
	busy(t, g, "k")
}

func TestRedlockUsesItsPrefix(t *testing.T) {
	f := newFleet(t, 1, heedsContext)
	g, err := lease.TryRedlock(f.clients(), lease.WithPrefix("elsewhere:"))
	if err != nil {
		t.Fatal(err)
	}
	won(t, g, "zodiac::users:1", time.Minute)
	won(t, f.guard(), "zodiac::users:1", time.Minute)
	keys := f.own[0].Keys(t.Context(), "*:zodiac::users:1").Val()
	want := []string{"elsewhere:zodiac::users:1", "zodiac-lock:zodiac::users:1"}
	if len(keys) != 2 || f.own[0].Exists(t.Context(), want...).Val() != 2 {
		t.Errorf("the node holds %q; want %q", keys, want)
	}
}

func TestRedlockNodeTimeoutLimitsTheDelayByAStalledNode(t *testing.T) {
	f := newFleet(t, 3, ignoresContext)
	f.timeout = time.Second
	g := f.guard()
	f.stall(0)
	for _, test := range []struct{ p, least, most time.Duration }{
		{time.Minute, f.timeout, 3 * f.timeout},
		{time.Second, f.timeout / 5, f.timeout},
	} {
		begin := time.Now()
		won(t, g, test.p.String(), test.p)
		if took := time.Since(begin); took < test.least || took > test.most {
			t.Errorf("TryAcquire for %v took %v; want %v to %v", test.p, took, test.least, test.most)
		}
	}
}

func TestTryRedlockNamesAllWrongArguments(t *testing.T) {
	c := make([]redis.UniversalClient, 3)
	for i := range c {
		client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
		defer client.Close()
		c[i] = client
	}
	type clients = []redis.UniversalClient
	for _, test := range []struct {
		name    string
		clients clients
		opts    []lease.Option
		want    []string
	}{
		{"none", nil, nil, []string{"no clients"}},
		{"even", c[:2], nil, []string{"even number of clients (2)"}},
		{"nil", clients{c[0], nil, c[1]}, nil, []string{"client 1 is nil"}},
		{"nil_pointer", clients{c[0], c[1], (*redis.ClusterClient)(nil)}, nil, []string{"client 2 is nil"}},
		{"twice", clients{c[0], c[1], c[0]}, nil, []string{"client 2 is client 0 once more"}},
		{"empty_prefix", c, []lease.Option{lease.WithPrefix("")}, []string{`WithPrefix("")`}},
		{"prefix_of_values", c, []lease.Option{lease.WithPrefix("zodiac:lock:")}, []string{`WithPrefix("zodiac:lock:")`}},
		{"no_timeout", c, []lease.Option{lease.WithNodeTimeout(0)}, []string{"WithNodeTimeout(0s)"}},
		{
			"all_at_once",
			clients{nil, c[0], c[0], nil},
			[]lease.Option{lease.WithPrefix(""), lease.WithNodeTimeout(-1)},
			[]string{
				"even", "client 0 is nil", "client 2 is client 1", "client 3 is nil",
				"WithPrefix", "WithNodeTimeout",
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			g, err := lease.TryRedlock(test.clients, test.opts...)
			if g != nil || err == nil {
				t.Fatalf("TryRedlock = %v, %v; want an error", g, err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error is %v; want it to say %q", err, want)
				}
			}
			if test.opts == nil {
				defer func() {
					if r := recover(); r == nil || r.(error).Error() != err.Error() {
						t.Errorf("Redlock panics with %v; want %v", r, err)
					}
				}()
				lease.Redlock(test.clients...)
			}
		})
	}
	if g, err := lease.TryRedlock(c, lease.WithPrefix(""), lease.WithPrefix("mine:")); g == nil || err != nil {
		t.Errorf("TryRedlock = %v, %v; want a Guard, because the later option wins", g, err)
	}
}
