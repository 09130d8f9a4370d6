package redisstore_test

import (
	"errors"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/redisstore"
)

func TestLongPipelinesDoNotBlockInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := redisstore.New(redistest.Virtual(t))
		defer s.Close()
		records, keys := map[string]driver.Record{}, []string{}
		for i := range 2000 {
			keys = append(keys, "zodiac::users:"+strconv.Itoa(i))
			records[keys[i]] = driver.Record{Data: make([]byte, 1000), TTL: driver.Forever}
		}
		if err := s.SetMany(t.Context(), records); err != nil {
			t.Fatal(err)
		}
		got, errs := s.GetMany(t.Context(), keys)
		for i := range keys {
			if errs[i] != nil || len(got[i].Data) != 1000 {
				t.Fatalf("GetMany()[%d] = %d bytes, %v; want 1000", i, len(got[i].Data), errs[i])
			}
		}
	})
}

func TestNoGoroutineRunsAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := redisstore.New(redistest.Virtual(t))
		ctx := t.Context()
		must(t, s.Set(ctx, key, minute("v")))
		_, stop := s.Wake(ctx, key)
		unsubscribe, err := s.Subscribe(ctx, func(driver.Invalidation) {})
		must(t, err)
		if !running("redisstore.(*link)") {
			t.Fatal("no goroutine of the subscription runs while it is needed")
		}
		stop()
		unsubscribe()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if running("redisstore.(*") {
			t.Error("a goroutine of the Store runs two seconds after the subscription was last needed")
		}
	})
}

// running reports whether a goroutine is in a function whose name begins with function.
func running(function string) bool {
	stacks := make([]byte, 1<<20)
	return strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "zodiac/"+function)
}

func TestGrantsDifferThoughTimeStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := redisstore.New(redistest.Virtual(t))
		first := acquire(t, s, driver.Ask{})
		if again := acquire(t, s, driver.Ask{}); again.Token != first.Token {
			t.Errorf("Acquire with the same token = %s; want the same grant, %s", again.Token, first.Token)
		}
		if ok, err := s.Abort(t.Context(), key, first.Token); !ok {
			t.Fatal(err)
		}
		if late := acquire(t, s, driver.Ask{}); late.Token == first.Token {
			t.Errorf("Acquire after Abort = %s; want another grant", late.Token)
		}
	})
}

// The server's time stands still, except while the test sleeps.
func TestRecordOfAMillisecondCanBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := redisstore.New(redistest.Virtual(t))
		defer s.Close()
		ctx := t.Context()
		r := driver.Record{Data: []byte("v"), TTL: time.Millisecond}
		seen := func(what string) {
			t.Helper()
			if got, err := s.Get(ctx, key); err != nil || got.TTL > 2*time.Millisecond {
				t.Errorf("Get after %s = %v left, %v; want up to 2ms", what, got.TTL, err)
			}
			time.Sleep(2 * time.Millisecond)
			if _, err := s.Get(ctx, key); !errors.Is(err, driver.ErrMiss) {
				t.Errorf("Get 2ms after %s = %v; want ErrMiss", what, err)
			}
		}
		must(t, s.Set(ctx, key, r))
		seen("Set")
		if ok, err := s.Add(ctx, key, r); !ok {
			t.Fatal(err)
		}
		seen("Add")
		must(t, s.Set(ctx, key, minute("v")))
		if ok, err := s.Expire(ctx, key, time.Millisecond); !ok {
			t.Fatal(err)
		}
		seen("Expire")
		c := acquire(t, s, driver.Ask{Lease: time.Millisecond})
		if b := acquire(t, s, driver.Ask{Token: asked + "2"}); c.State != driver.Won || b.State != driver.Busy {
			t.Errorf("two Acquires = %v, %v; want won, busy", c.State, b.State)
		}
		if ok, err := s.Commit(ctx, key, c.Token, r); !ok {
			t.Fatal(err)
		}
		seen("Commit")
	})
}
