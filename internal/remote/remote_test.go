package remote

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

func TestNameIsReservedUntilTheClientIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, other := newStore(t), newStore(t)
		const prefix = "zodiac::test:"
		for i, want := range []bool{true, false, false} {
			if got := Reserve(s, prefix); got != want {
				t.Errorf("Reserve %d = %v; want %v", i, got, want)
			}
		}
		if !Reserve(other, prefix) || !Reserve(s, prefix+"other:") {
			t.Error("Reserve in another store, or of another name, = false")
		}
		c := newClient(t, s)
		c.Close(t.Context())
		if !Reserve(s, prefix) || Reserve(other, prefix) || Reserve(s, prefix+"other:") {
			t.Error("Close has not released its prefix, or has released another")
		}
		c.Close(t.Context())
		if Reserve(s, prefix) {
			t.Error("a second Close has released the prefix, which another Client has by now")
		}
		b := backendOf(s)
		b.release(prefix)
		b.release(prefix + "other:")
		backendOf(other).release(prefix)
		if len(backends.of) != 0 {
			t.Errorf("%d backends are left", len(backends.of))
		}
	})
}

// A refusal is an answer of a server of Redis.
type refusal struct{ error }

func (refusal) RedisError() {}

func TestFaultIsUnknownIfAWriteWasSentAndNotAnswered(t *testing.T) {
	for _, op := range []string{
		"Get", "GetMany", "Acquire", "Renew", "Abort", "Subscribe",
		"Set", "Add", "Expire", "Delete", "Clear", "Commit", "Publish",
	} {
		writes := op[0] != 'G' && op[0] != 'R' && op != "Acquire" && op != "Abort" && op != "Subscribe"
		for _, tt := range []struct {
			err                error
			unknown, isSkipped bool
		}{
			{errDown, writes, false},
			{context.DeadlineExceeded, writes, false},
			{errSkipped, false, true},
			{refusal{errDown}, false, false},
		} {
			f := &OpError{op, tt.err}
			if f.Unknown() != tt.unknown || f.Skipped() != tt.isSkipped || !errors.Is(f, tt.err) {
				t.Errorf("%v: Unknown = %v, Skipped = %v; want %v and %v", f, f.Unknown(), f.Skipped(), tt.unknown, tt.isSkipped)
			}
		}
	}
	for _, err := range []error{nil, driver.ErrMiss, ErrClosed} {
		if got := fault("Get", err); got != err { //nolint:errorlint // it is to be the same
			t.Errorf("fault of %v = %v", err, got)
		}
	}
}

func TestCloseWaitsForWhatRunsInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, start := newStore(t), time.Now()
		c := newClient(t, s)
		s.put(t, value("1"))
		s.setBefore(func(context.Context, string, string) error {
			time.Sleep(time.Second / 2)
			return nil
		})
		c.ExpireLater(t.Context(), key, nil, time.Minute)
		c.ExpireLater(t.Context(), key, nil, time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/4)
		defer cancel()
		if err := c.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second/4 {
			t.Errorf("Close = %v after %v; want the context's error after 250ms", err, time.Since(start))
		}
		if err := c.Close(t.Context()); err != nil || time.Since(start) != time.Second/2 {
			t.Errorf("Close = %v after %v; want nil after 500ms", err, time.Since(start))
		}
		if r, err := s.Store.Get(t.Context(), key); err != nil || r.TTL != time.Minute {
			t.Errorf("the record has %v left, %v; want a minute", r.TTL, err)
		}
		c.ExpireLater(t.Context(), key, nil, time.Hour)
		if synctest.Wait(); s.count("Expire") != 2 {
			t.Error("Close has not refused a task")
		}
	})
}

func TestCloseWaitsForAWriteThatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		s.setBefore(func(ctx context.Context, _, _ string) error {
			time.Sleep(time.Second / 4)
			return ctx.Err()
		})
		done := make(chan error, 1)
		go func() { done <- newWrite(c, &writeOwner{}, value("1")).Set(context.Background()) }()
		synctest.Wait()
		start := time.Now()
		c.Close(t.Context())
		if d := time.Since(start); d != 3*time.Second/4 { // Set and Publish, and the number once more
			t.Errorf("Close took %v; want that it waits for the write", d)
		}
		if err := <-done; err != nil || s.stored(t) != "1" {
			t.Errorf("Set during Close = %v, the store has %q; want nil and 1", err, s.stored(t))
		}
	})
}

func TestCommandJustAfterCloseIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		b := c.NewBudget()
		s.put(t, value("1"))
		c.Read(context.Background(), &b, key)
		c.Close(t.Context())
		if e, err := c.Read(context.Background(), &b, key); err != nil ||
			string(e.Parsed.Payload) != "1" {
			t.Errorf("Read after Close = %q, %v; want 1", e.Parsed.Payload, err)
		}
	})
}

func TestLeaseGivenUpBeforeCloseIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		l := acquired(t, c)
		c.Close(t.Context())
		l.close() // takes no goroutine any more
		if !free(t, s) {
			t.Error("a lease that is closed after the Client is still held")
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestWriteAfterCloseSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		s.put(t, value("old"))
		c.Close(t.Context())
		w := newWrite(c, &writeOwner{}, value("1"))
		for name, err := range map[string]error{
			"Set":        w.Set(t.Context()),
			"Add":        second(w.Add(t.Context())),
			"Touch":      second(w.Touch(t.Context(), &Entry{}, time.Hour, 0)),
			"Snapshot":   second(w.Snapshot(t.Context())),
			"Replace":    second((&Snapshot{w: w}).Replace(t.Context())),
			"RecordTags": second(c.RecordTags(t.Context(), &w.Budget, nil, []string{"tag"}, time.Hour)),
			"Delete":     second(c.Delete(t.Context(), []string{key}, func(int) {})),
			"DeleteTags": c.DeleteTags(t.Context(), []string{"tag"}, func([]string) {}),
			"Clear":      second(c.Clear(t.Context(), func() {})),
		} {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("%s after Close = %v; want ErrClosed", name, err)
			}
		}
		if s.total() != 0 || s.stored(t) != "old" {
			t.Errorf("%d commands after Close, the store has %q; want none, and old", s.total(), s.stored(t))
		}
	})
}

func TestNowOrdersMoments(t *testing.T) {
	c := &Client{}
	last := c.Now()
	for range 3 {
		if now := c.Now(); now <= last || now >= never {
			t.Errorf("%d comes after %d", now, last)
		} else {
			last = now
		}
	}
}
