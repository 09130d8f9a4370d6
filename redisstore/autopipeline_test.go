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

// A crowd is callers of one Store that come at the same time. As a hook of the client, it counts
// what is sent, and can answer in place of the server.
type crowd struct {
	t     *testing.T
	s     *Store
	sizes []int        // commands in each pipeline, in the order of sending
	alone atomic.Int32 // commands that were sent by themselves

	// If not nil, these answer pipelines, and commands sent by themselves.
	onPipeline, onCommand func(ctx context.Context) error
}

func (cr *crowd) DialHook(next redis.DialHook) redis.DialHook { return next }

func (cr *crowd) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if isCounted(cmd) {
			cr.alone.Add(1)
			if cr.onCommand != nil {
				return cr.onCommand(ctx)
			}
		}
		return next(ctx, cmd)
	}
}

func (cr *crowd) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if isCounted(cmds[0]) {
			cr.sizes = append(cr.sizes, len(cmds))
			if cr.onPipeline != nil {
				return cr.onPipeline(ctx)
			}
		}
		return next(ctx, cmds)
	}
}

func isCounted(cmd redis.Cmder) bool {
	return slices.Contains([]string{"get", "evalsha", "eval"}, cmd.Name())
}

// withCrowd calls f in virtual time. The crowd's Store has the records "0" to "99" under keys with
// the same names. It counts as many callers under way as may send their own commands, so that all
// further callers share pipelines.
func withCrowd(t *testing.T, f func(cr *crowd)) {
	synctest.Test(t, func(t *testing.T) {
		client := redistest.Virtual(t)
		cr := &crowd{t: t, s: New(client)}
		for i := range 100 {
			r := driver.Record{Data: fmt.Append(nil, i), TTL: time.Hour}
			if err := cr.s.Set(context.Background(), fmt.Sprint(i), r); err != nil {
				t.Fatal(err)
			}
		}
		client.AddHook(cr)
		cr.s.pipelines.callers.Store(maxAlone)
		f(cr)
		if n := cr.s.pipelines.callers.Load(); n != maxAlone {
			t.Errorf("%d callers count as under way at the end; want %d", n, maxAlone)
		}
	})
}

// begin begins a batch, whose first command is the test's. The test closes the batch and sends it.
func (cr *crowd) begin() (*batch, *redis.StringCmd) {
	cr.t.Helper()
	cmd := redis.NewStringCmd(context.Background(), "get", "0")
	b, first, _ := cr.s.pipelines.join(cmd)
	if !first {
		cr.t.Fatal("there is a batch already")
	}
	return b, cmd
}

// read starts n readers of the keys from "1" on, and returns when they wait. check waits for their
// results, and fails the test if one did not get its own record.
func (cr *crowd) read(ctx context.Context, n int) (check func()) {
	errs := make(chan error, n)
	for i := 1; i <= n; i++ {
		go func() {
			r, err := cr.s.GetData(ctx, fmt.Sprint(i))
			if err == nil && string(r.Data) != fmt.Sprint(i) {
				err = fmt.Errorf("GetData(%d) = %q", i, r.Data)
			}
			errs <- err
		}()
	}
	synctest.Wait()
	return func() {
		cr.t.Helper()
		for range n {
			if err := <-errs; err != nil {
				cr.t.Error(err)
			}
		}
	}
}

// expectSent fails the test unless the pipelines and the commands sent by themselves are as given.
func (cr *crowd) expectSent(sizes []int, alone int32) {
	cr.t.Helper()
	if !slices.Equal(cr.sizes, sizes) || cr.alone.Load() != alone {
		cr.t.Errorf("pipelines of %v commands, and %d commands by themselves; want %v and %d",
			cr.sizes, cr.alone.Load(), sizes, alone)
	}
}

func TestConcurrentReadersShareAPipeline(t *testing.T) {
	withCrowd(t, func(cr *crowd) {
		b, own := cr.begin()
		check := cr.read(context.Background(), 3)
		cr.expectSent(nil, 0)
		if !cr.s.pipelines.close(b) {
			t.Fatal("another caller sends the batch")
		}
		cr.s.sendBatch(context.Background(), b)
		check()
		if own.Val() == "" {
			t.Error("the first caller has no reply")
		}
		cr.expectSent([]int{4}, 0)
	})
}

// together makes n calls that add their commands to one batch, sends it, and returns when the calls
// have returned.
func (cr *crowd) together(n int, call func(i int)) {
	cr.t.Helper()
	b, _ := cr.begin()
	var callers sync.WaitGroup
	for i := range n {
		callers.Go(func() { call(i) })
	}
	synctest.Wait()
	if !cr.s.pipelines.close(b) {
		cr.t.Fatal("another caller sends the batch")
	}
	cr.s.sendBatch(context.Background(), b)
	callers.Wait()
}

// acquire asks for the leases of n keys in one batch, and commits a record under each.
func (cr *crowd) acquire(n int) {
	cr.t.Helper()
	ctx := context.Background()
	key := func(i int) string { return fmt.Sprint("leased", i) }
	claims := make([]driver.Claim, n)
	cr.together(n, func(i int) {
		var err error
		ask := driver.Ask{Token: fmt.Sprintf("%016d", i), Lease: time.Minute}
		if claims[i], err = cr.s.Acquire(ctx, key(i), ask); err != nil {
			cr.t.Error(err)
		}
	})
	for i, c := range claims {
		r := driver.Record{Data: fmt.Append(nil, "of ", i), TTL: time.Minute}
		if ok, err := cr.s.Commit(ctx, key(i), c.Token, r); !ok || err != nil {
			cr.t.Errorf("Commit(%s) under %+v = %v, %v; want true", key(i), c, ok, err)
		}
		if got, err := cr.s.Get(ctx, key(i)); err != nil || string(got.Data) != string(r.Data) {
			cr.t.Errorf("Get(%s) = %q, %v; want %q", key(i), got.Data, err, r.Data)
		}
	}
}

func TestConcurrentLeaseScriptsShareAPipeline(t *testing.T) {
	ctx := context.Background()
	withCrowd(t, func(cr *crowd) {
		ask := driver.Ask{Token: strings.Repeat("k", 16), Lease: time.Minute}
		if _, err := cr.s.Acquire(ctx, "known", ask); err != nil {
			t.Fatal(err) // the server knows the script now
		}
		cr.alone.Store(0)
		cr.together(3, func(i int) {
			ask := driver.Ask{Token: fmt.Sprintf("%016d", i), Lease: time.Minute}
			if c, err := cr.s.Acquire(ctx, fmt.Sprint("k", i), ask); err != nil || c.State != driver.Won {
				t.Errorf("Acquire = %+v, %v; want won", c, err)
			}
		})
		cr.expectSent([]int{4}, 0)
	})
}

// If the server has forgotten the script, no call of the pipeline has done anything. Each is sent
// again with the whole script.
func TestUnknownScriptsOfABatchAreSentInFull(t *testing.T) {
	withCrowd(t, func(cr *crowd) {
		if err := cr.s.client.ScriptFlush(context.Background()).Err(); err != nil {
			t.Fatal(err)
		}
		cr.acquire(5)
	})
}

func TestEachCallerOfABatchGetsItsOwnReply(t *testing.T) {
	withCrowd(t, func(cr *crowd) { cr.acquire(maxBatch - 2) })
}

// Two kinds of commands share no pipeline: those that must not be carried out again after their
// reply, and those that are so large that other callers would have to wait for them.
func TestUnfencedAndLargeScriptsAreSentByThemselves(t *testing.T) {
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
		"Commit of a large record": func(s *Store) error {
			r := driver.Record{Data: make([]byte, largeCall), TTL: time.Minute}
			_, err := s.Commit(ctx, "1", "."+strings.Repeat("x", 22), r)
			return err
		},
	} {
		withCrowd(t, func(cr *crowd) {
			b, _ := cr.begin()
			defer cr.s.pipelines.close(b)
			if err := call(cr.s); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if len(b.cmds) != 1 || cr.alone.Load() == 0 {
				t.Errorf("%s: the batch has %d commands, and %d were sent by themselves; want 1, and more than 0",
					name, len(b.cmds), cr.alone.Load())
			}
		})
	}
}

func TestCallerThatFillsABatchSendsIt(t *testing.T) {
	withCrowd(t, func(cr *crowd) {
		b, own := cr.begin()
		cr.read(context.Background(), maxBatch)() // one too many: the last begins the next batch
		<-b.done
		if own.Val() == "" {
			t.Error("the first caller has no reply")
		}
		cr.expectSent([]int{maxBatch}, 1)
		if cr.s.pipelines.close(b) {
			t.Error("the first caller would send the batch again")
		}
	})
}

func TestNoCallerYieldsWhileYieldingTakesLong(t *testing.T) {
	withCrowd(t, func(cr *crowd) {
		p := &cr.s.pipelines
		yields := 0
		p.yield = func() {
			yields++
			time.Sleep(2 * longYield)
		}
		began := time.Now()
		for time.Since(began) < time.Second {
			cr.read(context.Background(), 1)()
			time.Sleep(time.Millisecond)
		}
		if want := 4; yields != want { // at 0, 100, 300 and 700 ms, or a little later
			t.Errorf("%d callers yielded in a second; want %d", yields, want)
		}
		time.Sleep(maxPause)
		p.yield = func() { yields++ }
		yields = 0
		for range 3 {
			cr.read(context.Background(), 1)()
		}
		if yields != 3 {
			t.Errorf("%d callers yielded after yielding became short again; want 3", yields)
		}
	})
}

// A Loader stops asking a store after five faults in a row. One pipeline that fails must not count
// as sixteen.
func TestFaultOfABatchIsOneFault(t *testing.T) {
	withCrowd(t, func(cr *crowd) {
		cr.onPipeline = func(context.Context) error { return os.ErrDeadlineExceeded }
		b, _ := cr.begin()
		errs := make(chan error, 3)
		for range 3 {
			go func() {
				_, err := cr.s.GetData(context.Background(), "1")
				errs <- err
			}()
		}
		synctest.Wait()
		cr.s.pipelines.close(b)
		cr.s.sendBatch(context.Background(), b)
		for range 3 {
			if err := <-errs; !errors.Is(err, os.ErrDeadlineExceeded) || !faults.IsShared(err) {
				t.Errorf("GetData of a caller that does not send = %v, shared: %v; want the pipeline's error, shared",
					err, faults.IsShared(err))
			}
		}
		if _, err := cr.s.GetData(context.Background(), "1"); faults.IsShared(err) {
			t.Errorf("GetData of a caller that sends = %v, shared; nobody else reports it", err)
		}
	})
}

// A command of an expired batch is not sent again if there is little time left. That no reply comes
// in so little time either is not another fault.
func TestCommandIsNotSentAgainInTheLittleTimeThatIsLeft(t *testing.T) {
	silent := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for left, shared := range map[time.Duration]bool{
		time.Microsecond: true, minRetryTime - time.Microsecond: true,
		minRetryTime: false, time.Second: false,
	} {
		withCrowd(t, func(cr *crowd) {
			cr.onPipeline, cr.onCommand = silent, silent
			b, _ := cr.begin()
			errs := make(chan error, 3)
			for range cap(errs) {
				go func() {
					ctx, cancel := context.WithTimeout(context.Background(), time.Second+left)
					defer cancel()
					_, err := cr.s.GetData(ctx, "1")
					errs <- err
				}()
			}
			synctest.Wait()
			cr.s.pipelines.close(b)
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			cr.s.sendBatch(ctx, b)
			for range cap(errs) {
				if err := <-errs; err == nil || faults.IsShared(err) != shared {
					t.Errorf("GetData with %v left = %v, shared: %v; want an error, shared: %v",
						left, err, faults.IsShared(err), shared)
				}
			}
		})
	}
}

func TestCallerThatIsAloneSendsItsOwnCommand(t *testing.T) {
	withCrowd(t, func(cr *crowd) {
		cr.read(context.Background(), 1)() // begins a batch, which nobody joins
		cr.s.pipelines.callers.Store(0)
		cr.begin() // a batch that the next reader does not join
		cr.read(context.Background(), 1)()
		cr.expectSent(nil, 2)
		cr.s.pipelines.callers.Store(maxAlone)
	})
}

// A serverError is an error that a server replied.
type serverError string

func (e serverError) Error() string { return string(e) }
func (serverError) RedisError()     {}

func TestCommandsOfAFailedBatchAreSentByThemselves(t *testing.T) {
	broken := errors.New("broken")
	for name, tt := range map[string]struct {
		answer func(context.Context) error
		want   string // in the error of the first caller
	}{
		"error": {func(context.Context) error { return broken }, "broken"},
		"panic": {func(context.Context) error { panic(broken) }, errPanicked.Error()},
		"deadline": {
			func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
			context.DeadlineExceeded.Error(),
		},
		"replica": {
			func(context.Context) error {
				return serverError("READONLY You can't write against a read only replica.")
			},
			"READONLY",
		},
	} {
		t.Run(name, func(t *testing.T) {
			withCrowd(t, func(cr *crowd) {
				cr.onPipeline = tt.answer
				b, own := cr.begin()
				check := cr.read(context.Background(), 3)
				cr.s.pipelines.close(b)
				began := time.Now()
				func() {
					ctx, cancel := context.WithTimeout(context.Background(), time.Second)
					defer cancel()
					cr.s.sendBatch(ctx, b)
				}()
				check()
				if err := own.Err(); err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("the error of the first caller's command is %v; want %q", err, tt.want)
				}
				if n, took := cr.alone.Load(), time.Since(began); n != 3 || took > time.Second {
					t.Errorf("%d commands by themselves, after %v; want 3, after a second at most", n, took)
				}
			})
		})
	}
}

func TestMissInABatchIsNotSentAgain(t *testing.T) {
	withCrowd(t, func(cr *crowd) {
		b, _ := cr.begin()
		res := make(chan error)
		go func() {
			_, err := cr.s.GetData(context.Background(), "absent")
			res <- err
		}()
		synctest.Wait()
		cr.s.pipelines.close(b)
		cr.s.sendBatch(context.Background(), b)
		if err := <-res; !errors.Is(err, driver.ErrMiss) || cr.alone.Load() != 0 {
			t.Errorf("GetData = %v after %d more commands; want ErrMiss after none", err, cr.alone.Load())
		}
	})
}

func TestBatchHoldsNoCallerPastItsDeadline(t *testing.T) {
	withCrowd(t, func(cr *crowd) {
		hang := make(chan struct{})
		cr.onPipeline = func(context.Context) error { <-hang; return nil }
		b, _ := cr.begin()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		res := make(chan error)
		go func() {
			_, err := cr.s.GetData(ctx, "1")
			res <- err
		}()
		synctest.Wait()
		cr.s.pipelines.close(b)
		began := time.Now()
		go cr.s.sendBatch(context.Background(), b)
		const want = "redisstore: no reply from the server: context deadline exceeded"
		err := <-res
		if !errors.Is(err, context.DeadlineExceeded) || err.Error() != want || time.Since(began) != 10*time.Millisecond {
			t.Errorf("GetData = %v after %v; want %q after 10ms", err, time.Since(began), want)
		}
		close(hang)
		<-b.done
	})
}

func TestCancelledSenderDoesNotCancelItsBatch(t *testing.T) {
	withCrowd(t, func(cr *crowd) {
		b, _ := cr.begin()
		check := cr.read(context.Background(), 3)
		cr.s.pipelines.close(b)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		cr.s.sendBatch(ctx, b)
		check()
		if n := cr.alone.Load(); n != 0 {
			t.Errorf("%d commands were sent again; want none", n)
		}
	})
}
