package properties_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/zodiac-go/zodiac"
	"pgregory.net/rapid"
)

// A stage is a loader in a bubble. The test decides what its function does and when.
type stage struct {
	subject
	t rapid.TB
	o *origin
}

// onStage runs play in a bubble of its own.
func onStage(t *testing.T, c config, play func(s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, c)
		defer close(s.o.quit) // functions still running when the test fails
		play(s)
	})
}

func newStage(t rapid.TB, c config) *stage {
	if c.keys == "" {
		c.keys = "int"
	}
	if c.values == "" {
		c.values = "int64"
	}
	o := newOrigin()
	return &stage{newSubject(c, o), t, o}
}

// A caller is a call on a goroutine of its own.
type caller struct {
	t    rapid.TB
	name string
	res  chan result
	stop context.CancelFunc
}

// begin makes a call that can be canceled, and returns when everything is idle.
func (s *stage) begin(name string, do func(ctx context.Context) result) *caller {
	ctx, stop := context.WithCancel(context.Background())
	c := &caller{t: s.t, name: name, res: spawn(func() result { return do(ctx) }), stop: stop}
	synctest.Wait()
	return c
}

// spawn makes a call on a goroutine of its own, and sends its result.
func spawn(do func() result) chan result {
	res := make(chan result, 1)
	go func() {
		r := result{exited: true}
		defer func() {
			if p := recover(); p != nil {
				r = result{panicked: p}
			}
			res <- r
		}()
		r = do()
	}()
	return res
}

// get begins a Get of key under the modes that put makes.
func (s *stage) get(key int, put ...func(context.Context) context.Context) *caller {
	return s.begin(fmt.Sprintf("Get(%d)", key), func(ctx context.Context) result {
		for _, p := range put {
			ctx = p(ctx)
		}
		v, err := s.Get(ctx, key)
		return result{val: v, err: err}
	})
}

func (s *stage) refresh(key int) *caller {
	return s.begin(fmt.Sprintf("Refresh(%d)", key), func(ctx context.Context) result {
		v, err := s.Refresh(ctx, key)
		return result{val: v, err: err}
	})
}

// calls returns the function calls that have begun since the last calls. It checks their keys.
func (s *stage) calls(keys ...int) []*call {
	s.t.Helper()
	synctest.Wait()
	calls := s.o.take()
	var got []int
	for _, c := range calls {
		got = append(got, c.key)
	}
	if !slices.Equal(got, keys) {
		s.t.Fatalf("functions begun for keys %v; want %v", got, keys)
	}
	return calls
}

// call is calls for one key.
func (s *stage) call(key int) *call {
	s.t.Helper()
	return s.calls(key)[0]
}

// ends lets the function end as p says.
func (c *call) ends(p plan) {
	synctest.Wait() // the other events of this instant happen first
	c.plan <- p
	synctest.Wait()
}

func (c *call) returns(id int64) { c.ends(plan{kind: returns, val: value{id: id}}) }
func (c *call) fails(err error)  { c.ends(plan{kind: fails, err: err}) }

// told reports whether the function was told to stop.
func (c *call) told() bool { return c.ctx.Err() != nil }

// waits checks that the call has not returned.
func (c *caller) waits() {
	c.t.Helper()
	synctest.Wait()
	select {
	case r := <-c.res:
		c.t.Fatalf("%s returned %v; it should wait", c.name, r)
	default:
	}
}

// result returns the result of the call.
func (c *caller) result() result {
	c.t.Helper()
	synctest.Wait()
	select {
	case r := <-c.res:
		c.stop()
		return r
	default:
		c.stop()
		c.t.Fatalf("%s waits; it should have returned", c.name)
		return result{}
	}
}

// has checks the result of the call.
func (c *caller) has(o outcome) {
	c.t.Helper()
	if why := o.mismatch(c.result()); why != "" {
		c.t.Errorf("%s %s", c.name, why)
	}
}

func (c *caller) hasID(id int64) { c.t.Helper(); c.has(valueOf(id)) }

func valueOf(id int64) outcome { return outcome{kind: gotValue, val: value{id: id}} }

// leaves ends the context of the call.
func (c *caller) leaves() {
	c.t.Helper()
	c.stop()
	c.has(outcome{kind: gotLeft, err: context.Canceled})
}

// holds checks the value in memory for key.
func (s *stage) holds(key int, id int64) {
	s.t.Helper()
	if v, ok, err := s.Peek(context.Background(), key); v.id != id || !ok || err != nil {
		s.t.Errorf("Peek(%d) = %v, %v, %v; want %d", key, v, ok, err, id)
	}
}

// lacks checks that memory has nothing for key.
func (s *stage) lacks(key int) {
	s.t.Helper()
	if v, ok, err := s.Peek(context.Background(), key); ok || err != nil {
		s.t.Errorf("Peek(%d) = %v, %v, %v; want nothing", key, v, ok, err)
	}
}

// counted checks the counters. Those that are not set in want must be zero.
func (s *stage) counted(want zodiac.Stats) {
	s.t.Helper()
	got := s.Stats()
	got.Size, got.Expired = want.Size, want.Expired
	if want = sum(want); got != want {
		s.t.Errorf("Stats()\n got %+v\nwant %+v", got, want)
	}
}

// set is a Set that must succeed.
func (s *stage) set(key int, id int64, opts ...zodiac.SetOption) {
	s.t.Helper()
	if err := s.Set(context.Background(), key, value{id: id}, opts...); err != nil {
		s.t.Fatalf("Set(%d, %d) = %v", key, id, err)
	}
}

// The modes, as functions of a context.
func underNoWrite(ctx context.Context) context.Context   { return zodiac.NoWrite(ctx) }
func underReadOnly(ctx context.Context) context.Context  { return zodiac.ReadOnly(ctx) }
func underOverwrite(ctx context.Context) context.Context { return zodiac.Overwrite(ctx) }
func underBypass(ctx context.Context) context.Context    { return zodiac.Bypass(ctx) }
func inPlain(ctx context.Context) context.Context        { return ctx }
