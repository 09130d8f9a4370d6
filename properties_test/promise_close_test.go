package properties_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
)

func (s *stage) close(timeout time.Duration) *caller {
	return s.begin("Close", func(ctx context.Context) result {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return result{err: s.Close(ctx)}
	})
}

// P29: Close waits until all functions have returned, including those that waited for their turn.
// Waiting callers get the result. Nothing is stored any more.
func TestP29_CloseWaitsForRunningFetches(t *testing.T) {
	onStage(t, config{errorTTL: time.Minute}, func(s *stage) {
		s.set(0, 5)
		plain, refresh, refreshToo := s.get(key), s.refresh(2), s.refresh(2)
		abandoned := s.get(3)
		calls := s.calls(key, 2, 3)
		abandoned.leaves()
		closed := s.close(time.Hour)
		closed.waits()
		calls[0].returns(1)
		plain.hasID(1)
		calls[1].fails(errGone)
		refresh.has(outcome{kind: gotError, err: errGone})
		s.call(2).returns(2)
		refreshToo.hasID(2)
		closed.waits()
		calls[2].returns(3)
		closed.has(outcome{kind: gotValue})
		if n := s.Len(); n != 0 {
			t.Errorf("Len() = %d after Close", n)
		}
		s.close(time.Hour).has(outcome{kind: gotValue})
		s.counted(zodiac.Stats{Fetched: 2, Failed: 1, Canceled: 1, Discarded: 3, FetchErrors: 1})
	})
}

// P29: if Close's context ends first, the error says so and names the loader. Waiting callers get
// ErrClosed, running functions are told to stop, waiting functions never run, and another Close
// waits on.
func TestP29_CloseThatIsCutShortNamesTheBusyLoader(t *testing.T) {
	onStage(t, config{}, func(s *stage) {
		waiting := []*caller{s.get(key), s.get(key), s.refresh(2), s.refresh(2)}
		calls := s.calls(key, 2)
		closed := s.close(time.Second)
		time.Sleep(time.Second)
		synctest.Wait()
		if err := closed.result().err; !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), `"subject"`) {
			t.Errorf("Close = %v; want DeadlineExceeded and the name", err)
		}
		for _, c := range waiting {
			c.has(outcome{kind: gotError, err: zodiac.ErrClosed})
		}
		if !calls[0].told() || !calls[1].told() {
			t.Error("the functions were not told to stop")
		}
		again := s.close(time.Hour)
		again.waits()
		calls[0].returns(1)
		again.waits()
		calls[1].fails(errGone)
		again.has(outcome{kind: gotValue})
		s.calls()
	})
}

// P29: Close of an idle loader returns at once, also under an ended context.
func TestP29_CloseOfAnIdleLoaderNeedsNoTime(t *testing.T) {
	onStage(t, config{ttl: time.Minute, errorTTL: time.Minute}, func(s *stage) {
		s.set(0, 5)
		ctx, cancel := context.WithCancel(bg)
		cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
}

// P29: after Close every method returns ErrClosed, changes nothing and counts nothing. Bypass and
// Fetch still run the function.
func TestP29_AfterCloseEverythingIsErrClosed(t *testing.T) {
	needsModes(t)
	l := zodiac.NewLoader(func(context.Context, int) (int64, error) { return 1, nil }, zodiac.WithTTL(60))
	l.Set(bg, 0, 5)
	l.Close(bg)
	set := func(int64, bool) (int64, error) { t.Error("Update calls its function"); return 0, nil }
	fetch := func(context.Context, int) (int64, error) { t.Error("the function runs"); return 0, nil }
	before := l.Stats()
	for name, err := range map[string]error{
		"Get":            only(l.Get(bg, 0)),
		"Get, NoWrite":   only(l.Get(zodiac.NoWrite(bg), 0)),
		"Get, Overwrite": only(l.Get(zodiac.Overwrite(bg), 0)),
		"Get, ReadOnly":  only(l.Get(zodiac.ReadOnly(bg), 0)),
		"GetOrFetch":     only(l.GetOrFetch(bg, 0, fetch)),
		"GetMany":        only(l.GetMany(bg, []int{0, 1})),
		"GetMany of 0":   only(l.GetMany(bg, nil)),
		"Refresh":        only(l.Refresh(bg, 0)),
		"Peek":           func() error { _, _, err := l.Peek(bg, 0); return err }(),
		"Entry":          func() error { _, _, err := l.Entry(bg, 0); return err }(),
		"Set":            l.Set(bg, 0, 1),
		"SetMany":        l.SetMany(bg, map[int]int64{0: 1}),
		"SetNone":        l.SetNone(bg, 0),
		"SetIfAbsent":    only(l.SetIfAbsent(bg, 0, 1)),
		"Update":         only(l.Update(bg, 0, set)),
		"Add":            only(zodiac.Add(bg, l.Cache, 0, 1)),
		"Touch":          only(l.Touch(bg, 0)),
		"Delete":         only(l.Delete(bg, 0)),
		"Delete of 0":    only(l.Delete(bg)),
		"DeleteTags":     l.DeleteTags(bg, "t"),
		"Clear":          only(l.Clear(bg)),
	} {
		if !errors.Is(err, zodiac.ErrClosed) {
			t.Errorf("%s = %v; want ErrClosed", name, err)
		}
	}
	if after := l.Stats(); after != before || l.Len() != 0 {
		t.Errorf("counted after Close:\n%+v, before:\n%+v; Len %d", after, before, l.Len())
	}
	if v, err := l.Get(zodiac.Bypass(bg), 0); v != 1 || err != nil {
		t.Errorf("Get under Bypass = %v, %v; want 1", v, err)
	}
	if vs, err := l.GetMany(zodiac.Bypass(bg), []int{0}); vs[0] != 1 || err != nil {
		t.Errorf("GetMany under Bypass = %v, %v; want 1", vs, err)
	}
	if v, err := l.Fetch(bg, 0); v != 1 || err != nil {
		t.Errorf("Fetch = %v, %v; want 1", v, err)
	}
}

// P29: a fetch that closes its own loader under a context that ends does not wait for itself.
func TestP29_CloseFromWithinAFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l *zodiac.Loader[int, int]
		l = zodiac.NewLoader(func(ctx context.Context, _ int) (int, error) {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			return 1, l.Close(ctx)
		})
		if _, err := l.Get(bg, 0); !errors.Is(err, zodiac.ErrClosed) {
			t.Errorf("Get = %v; want ErrClosed", err)
		}
		if err := l.Close(bg); err != nil {
			t.Error(err)
		}
	})
}
