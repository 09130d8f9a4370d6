package redisstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/faults"
	"github.com/zodiac-go/zodiac/internal/redistest"
)

// A throng is readers of one Store who come together.
type throng struct {
	t     *testing.T
	s     *Store
	sizes []int        // of the pipelines that were sent, one after another
	alone atomic.Int32 // commands that were not in one

	pipelines func(ctx context.Context) error // instead of sending them, if not nil
	singles   func(ctx context.Context) error // likewise
}

func (th *throng) DialHook(next redis.DialHook) redis.DialHook { return next }

func (th *throng) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if isCounted(cmd) {
			th.alone.Add(1)
			if th.singles != nil {
				return th.singles(ctx)
			}
		}
		return next(ctx, cmd)
	}
}

func (th *throng) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if isCounted(cmds[0]) {
			th.sizes = append(th.sizes, len(cmds))
			if th.pipelines != nil {
				return th.pipelines(ctx)
			}
		}
		return next(ctx, cmds)
	}
}

func isCounted(cmd redis.Cmder) bool {
	return slices.Contains([]string{"get", "evalsha", "eval"}, cmd.Name())
}

// crowded calls f in virtual time, with a Store that has records "0" to "99" under keys of these names, and more callers than may
// send their own commands.
func crowded(t *testing.T, f func(th *throng)) {
	synctest.Test(t, func(t *testing.T) {
		c := redistest.Virtual(t)
		th := &throng{t: t, s: New(c)}
		for i := range 100 {
			if err := th.s.Set(context.Background(), fmt.Sprint(i), driver.Record{Data: fmt.Append(nil, i), TTL: time.Hour}); err != nil {
				t.Fatal(err)
			}
		}
		c.AddHook(th)
		th.s.gatherer.callers.Store(maxAlone)
		f(th)
		if n := th.s.gatherer.callers.Load(); n != maxAlone {
			t.Errorf("%d callers are said to be under way, want %d", n, maxAlone)
		}
	})
}

// lead begins a batch, whose first command is the caller's.
func (th *throng) lead() (*batch, *redis.StringCmd) {
	th.t.Helper()
	cmd := redis.NewStringCmd(context.Background(), "get", "0")
	b, first, _ := th.s.gatherer.join(cmd)
	if !first {
		th.t.Fatal("a batch was begun before")
	}
	return b, cmd
}

// read starts n readers of keys from "1" on, and returns what they wait for: each is to get its own record.
func (th *throng) read(ctx context.Context, n int) (check func()) {
	errs := make(chan error, n)
	for i := 1; i <= n; i++ {
		go func() {
			r, err := th.s.GetData(ctx, fmt.Sprint(i))
			if err == nil && string(r.Data) != fmt.Sprint(i) {
				err = fmt.Errorf("the reader of key %d got %q", i, r.Data)
			}
			errs <- err
		}()
	}
	synctest.Wait()
	return func() {
		th.t.Helper()
		for range n {
			if err := <-errs; err != nil {
				th.t.Error(err)
			}
		}
	}
}

func TestReadersWhoComeTogetherShareAPipeline(t *testing.T) {
	crowded(t, func(th *throng) {
		b, own := th.lead()
		check := th.read(context.Background(), 3)
		if len(th.sizes) != 0 || th.alone.Load() != 0 {
			t.Errorf("before the batch is sent, there were pipelines of %v, and %d commands by themselves", th.sizes, th.alone.Load())
		}
		if !th.s.gatherer.close(b) {
			t.Fatal("somebody else sends the batch")
		}
		th.s.sendBatch(context.Background(), b)
		check()
		if own.Val() == "" || len(th.sizes) != 1 || th.sizes[0] != 4 || th.alone.Load() != 0 {
			t.Errorf("pipelines of %v, and %d by themselves; want one of 4, and 0", th.sizes, th.alone.Load())
		}
	})
}

// together calls n functions while others may add their commands to a batch, sends that, and returns when they have.
func (th *throng) together(n int, call func(i int)) {
	th.t.Helper()
	b, _ := th.lead()
	var callers sync.WaitGroup
	for i := range n {
		callers.Go(func() { call(i) })
	}
	synctest.Wait()
	if !th.s.gatherer.close(b) {
		th.t.Fatal("somebody else sends the batch")
	}
	th.s.sendBatch(context.Background(), b)
	callers.Wait()
}

// acquire asks for leases of n keys together, and then uses each.
func (th *throng) acquire(n int) {
	th.t.Helper()
	ctx := context.Background()
	key := func(i int) string { return fmt.Sprint("leased", i) }
	claims := make([]driver.Claim, n)
	th.together(n, func(i int) {
		var err error
		token := fmt.Sprintf("%016d", i)
		if claims[i], err = th.s.Acquire(ctx, key(i), driver.Ask{Token: token, Lease: time.Minute}); err != nil {
			th.t.Error(err)
		}
	})
	for i, c := range claims {
		data := fmt.Append(nil, "of ", i)
		if ok, err := th.s.Commit(ctx, key(i), c.Token, driver.Record{Data: data, TTL: time.Minute}); !ok || err != nil {
			th.t.Errorf("Commit %d under %+v = %v, %v", i, c, ok, err)
		}
		if r, err := th.s.Get(ctx, key(i)); err != nil || string(r.Data) != string(data) {
			th.t.Errorf("Get %d = %q, %v", i, r.Data, err)
		}
	}
}

func TestScriptsThatComeTogetherShareAPipeline(t *testing.T) {
	crowded(t, func(th *throng) {
		if _, err := th.s.Acquire(context.Background(), "known", driver.Ask{Token: strings.Repeat("k", 16), Lease: time.Minute}); err != nil {
			t.Fatal(err) // so that the server knows the script
		}
		th.alone.Store(0)
		th.together(3, func(i int) {
			token := fmt.Sprintf("%016d", i)
			if c, err := th.s.Acquire(context.Background(), fmt.Sprint("k", i), driver.Ask{Token: token, Lease: time.Minute}); err != nil || c.State != driver.Won {
				t.Errorf("Acquire = %+v, %v", c, err)
			}
		})
		if len(th.sizes) != 1 || th.sizes[0] != 4 || th.alone.Load() != 0 {
			t.Errorf("pipelines of %v, and %d by themselves; want one of 4, and 0", th.sizes, th.alone.Load())
		}
	})
}

// Of a pipeline of scripts that the server has forgotten nothing was done; each is sent again in full.
func TestScriptsThatAreNotKnownAreSentInFull(t *testing.T) {
	crowded(t, func(th *throng) {
		if err := th.s.client.ScriptFlush(context.Background()).Err(); err != nil {
			t.Fatal(err)
		}
		th.acquire(5)
	})
}

func TestEveryCallerOfAPipelineHasTheReplyToHisScript(t *testing.T) {
	crowded(t, func(th *throng) { th.acquire(maxBatch - 2) })
}

// A command that must not be carried out after its reply, and one that would hold the others up, is in no pipeline with them.
func TestSomeScriptsAreSentByThemselves(t *testing.T) {
	ctx := context.Background()
	for name, call := range map[string]func(s *Store) error{
		"Set": func(s *Store) error {
			return s.Set(ctx, "new", driver.Record{Data: []byte("x"), TTL: time.Minute})
		},
		"Add": func(s *Store) error {
			_, err := s.Add(ctx, "new", driver.Record{Data: []byte("x"), TTL: time.Minute})
			return err
		},
		"Expire": func(s *Store) error {
			_, err := s.Expire(ctx, "1", time.Minute)
			return err
		},
		"Delete": func(s *Store) error {
			_, err := s.Delete(ctx, "1")
			return err
		},
		"Clear": func(s *Store) error {
			_, err := s.Clear(ctx, "1")
			return err
		},
		"Commit of something large": func(s *Store) error {
			_, err := s.Commit(ctx, "1", "."+strings.Repeat("x", 22), driver.Record{Data: make([]byte, largeCall), TTL: time.Minute})
			return err
		},
	} {
		crowded(t, func(th *throng) {
			b, _ := th.lead()
			defer th.s.gatherer.close(b)
			if err := call(th.s); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if len(b.cmds) != 1 || th.alone.Load() == 0 {
				t.Errorf("%s: the batch has %d commands, and %d were sent by themselves", name, len(b.cmds), th.alone.Load())
			}
		})
	}
}

func TestWhoFillsABatchSendsIt(t *testing.T) {
	crowded(t, func(th *throng) {
		b, own := th.lead()
		th.read(context.Background(), maxBatch)() // the last of them is one too many, and begins a batch of its own
		<-b.over
		if own.Val() == "" || len(th.sizes) != 1 || th.sizes[0] != maxBatch || th.alone.Load() != 1 {
			t.Errorf("pipelines of %v, and %d by themselves; want one of %d, and 1", th.sizes, th.alone.Load(), maxBatch)
		}
		if th.s.gatherer.close(b) {
			t.Error("the first one sends it again")
		}
	})
}

func TestNobodyStepsBackWhileThatTakesLong(t *testing.T) {
	crowded(t, func(th *throng) {
		g := &th.s.gatherer
		steps := 0
		g.yield = func() {
			steps++
			time.Sleep(2 * longStep)
		}
		began := time.Now()
		for time.Since(began) < time.Second {
			th.read(context.Background(), 1)()
			time.Sleep(time.Millisecond)
		}
		if want := 4; steps != want { // at 0, 100, 300 and 700 milliseconds, or a little later
			t.Errorf("%d readers stepped back in a second, want %d", steps, want)
		}
		time.Sleep(maxPause)
		g.yield = func() { steps++ }
		steps = 0
		for range 3 {
			th.read(context.Background(), 1)()
		}
		if steps != 3 {
			t.Errorf("%d readers stepped back when that was short again, want 3", steps)
		}
	})
}

// A store that fails five times in a row is left alone: one pipeline must not look like sixteen faults.
func TestFaultOfABatchIsOneFault(t *testing.T) {
	crowded(t, func(th *throng) {
		th.pipelines = func(context.Context) error { return os.ErrDeadlineExceeded }
		b, _ := th.lead()
		errs := make(chan error, 3)
		for range 3 {
			go func() {
				_, err := th.s.GetData(context.Background(), "1")
				errs <- err
			}()
		}
		synctest.Wait()
		th.s.gatherer.close(b)
		th.s.sendBatch(context.Background(), b)
		for range 3 {
			if err := <-errs; !errors.Is(err, os.ErrDeadlineExceeded) || !faults.IsShared(err) {
				t.Errorf("GetData() = %v; want the pipeline's error, as one that another reports", err)
			}
		}
		if _, err := th.s.GetData(context.Background(), "1"); faults.IsShared(err) { // sends for itself
			t.Errorf("GetData() = %v, as one that another reports; nobody else does", err)
		}
	})
}

// In the little time that a batch has left, nobody asks again: that there was no answer in that either would say nothing new.
func TestFaultInTheTimeThatABatchHasLeftIsNotAnother(t *testing.T) {
	silent := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for left, shared := range map[time.Duration]bool{
		time.Microsecond: true, tooShort - time.Microsecond: true,
		tooShort: false, time.Second: false,
	} {
		crowded(t, func(th *throng) {
			th.pipelines, th.singles = silent, silent
			b, _ := th.lead()
			errs := make(chan error, 3)
			for range cap(errs) {
				go func() {
					ctx, cancel := context.WithTimeout(context.Background(), time.Second+left)
					defer cancel()
					_, err := th.s.GetData(ctx, "1")
					errs <- err
				}()
			}
			synctest.Wait()
			th.s.gatherer.close(b)
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			th.s.sendBatch(ctx, b)
			for range cap(errs) {
				if err := <-errs; err == nil || faults.IsShared(err) != shared {
					t.Errorf("with %v left, GetData() = %v; want an error, as one that another reports: %v", left, err, shared)
				}
			}
		})
	}
}

func TestReaderWithoutCompanySendsOneCommand(t *testing.T) {
	crowded(t, func(th *throng) {
		th.read(context.Background(), 1)()
		th.s.gatherer.callers.Store(0)
		th.lead() // a batch that this one does not wait for
		th.read(context.Background(), 1)()
		if len(th.sizes) != 0 || th.alone.Load() != 2 {
			t.Errorf("pipelines of %v, and %d commands by themselves; want 2", th.sizes, th.alone.Load())
		}
		th.s.gatherer.callers.Store(maxAlone)
	})
}

// saying is an error that a server has replied.
type saying string

func (s saying) Error() string { return string(s) }
func (saying) RedisError()     {}

func TestBatchThatFailsIsReadOneByOne(t *testing.T) {
	broken := errors.New("broken")
	for name, pipelines := range map[string]func(context.Context) error{
		"by an error":     func(context.Context) error { return broken },
		"by a panic":      func(context.Context) error { panic(broken) },
		"by its deadline": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"by a replica":    func(context.Context) error { return saying("READONLY You can't write against a read only replica.") },
	} {
		t.Run(name, func(t *testing.T) {
			crowded(t, func(th *throng) {
				th.pipelines = pipelines
				b, own := th.lead()
				check := th.read(context.Background(), 3)
				th.s.gatherer.close(b)
				began := time.Now()
				func() {
					defer func() { _ = recover() }() // it is the first caller's
					ctx, cancel := context.WithTimeout(context.Background(), time.Second)
					defer cancel()
					th.s.sendBatch(ctx, b)
				}()
				check()
				if own.Err() == nil || th.alone.Load() != 3 || time.Since(began) > time.Second {
					t.Errorf("the first has the error %v; %d by themselves, after %v; want an error, 3, and a second at most",
						own.Err(), th.alone.Load(), time.Since(began))
				}
			})
		})
	}
}

func TestReplyThatIsAnErrorIsNotReadAgain(t *testing.T) {
	crowded(t, func(th *throng) {
		b, _ := th.lead()
		res := make(chan error)
		go func() {
			_, err := th.s.GetData(context.Background(), "absent")
			res <- err
		}()
		synctest.Wait()
		th.s.gatherer.close(b)
		th.s.sendBatch(context.Background(), b)
		if err := <-res; !errors.Is(err, driver.ErrMiss) || th.alone.Load() != 0 {
			t.Errorf("GetData() = %v after %d commands more, want ErrMiss and none", err, th.alone.Load())
		}
	})
}

func TestNobodyIsHeldByABatch(t *testing.T) {
	crowded(t, func(th *throng) {
		hang := make(chan struct{})
		th.pipelines = func(context.Context) error { <-hang; return nil }
		b, _ := th.lead()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		res := make(chan error)
		go func() {
			_, err := th.s.GetData(ctx, "1")
			res <- err
		}()
		synctest.Wait()
		th.s.gatherer.close(b)
		began := time.Now()
		go th.s.sendBatch(context.Background(), b)
		if err := <-res; !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 10*time.Millisecond {
			t.Errorf("GetData() = %v after %v, want its deadline's error after 10 ms", err, time.Since(began))
		}
		close(hang)
		<-b.over
	})
}

func TestFirstOfABatchWhoLeavesTakesNobodyAlong(t *testing.T) {
	crowded(t, func(th *throng) {
		b, _ := th.lead()
		check := th.read(context.Background(), 3)
		th.s.gatherer.close(b)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		th.s.sendBatch(ctx, b)
		check()
		if th.alone.Load() != 0 {
			t.Errorf("%d commands were sent once more", th.alone.Load())
		}
	})
}
