package remote

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/record"
)

// A carriedWrite is a write that its context does not end.
type carriedWrite struct {
	call func(ctx context.Context, w *Write) error
	want string // what the store has then
}

// carriedWrites are the writes of a key that holds "old" under the tag "tag".
func carriedWrites() map[string]carriedWrite {
	return map[string]carriedWrite{
		"Set": {func(ctx context.Context, w *Write) error { return w.Set(ctx) }, "new"},
		"Remove": {func(ctx context.Context, w *Write) error {
			w.Remove = true
			return w.Set(ctx)
		}, "-"},
		"Touch": {func(ctx context.Context, w *Write) error {
			e, err := w.Read(Unending(ctx))
			if err != nil {
				return err
			}
			there, err := w.Touch(ctx, &e, 2*time.Hour, 0)
			if r, _ := w.Client.Store.Get(context.Background(), key); err == nil && (!there || r.TTL < time.Hour) {
				return errors.New("the record has its old life")
			}
			return err
		}, "old"},
		"TouchThatSlides": {func(ctx context.Context, w *Write) error {
			e, err := w.Read(Unending(ctx))
			if err == nil {
				_, err = w.Touch(ctx, &e, 2*time.Hour, time.Hour)
			}
			return err
		}, "old"},
		"Delete": {func(ctx context.Context, w *Write) error {
			_, err := w.Client.Delete(ctx, []string{key}, func(int) {})
			return err
		}, "-"},
		"DeleteTags": {func(ctx context.Context, w *Write) error {
			if err := w.Client.DeleteTags(ctx, []string{"tag"}, func([]string) {}); err != nil {
				return err
			}
			b := w.Client.NewBudget()
			if e, err := w.Client.Read(context.Background(), &b, key); err != nil || !e.Invalid {
				return errors.New("the entry is still valid")
			}
			return nil
		}, "old"},
		"Clear": {func(ctx context.Context, w *Write) error {
			_, err := w.Client.Clear(ctx, func() {})
			return err
		}, "-"},
	}
}

// eachCarriedWrite calls test for each write over a store that lends leases, and over one that does not.
func eachCarriedWrite(t *testing.T, test func(t *testing.T, s *fakeStore, w *Write, c carriedWrite)) {
	for name, write := range carriedWrites() {
		for suffix, cfg := range map[string]func(*Config){
			"": func(*Config) {}, "/Bare": func(cfg *Config) { cfg.Store = bareStore{cfg.Store} },
		} {
			t.Run(name+suffix, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newStore(t)
					generation(t, s, "tag", "g1")
					s.put(t, value("old", record.Tag{Name: "tag", Gen: "g1"}))
					test(t, s, newWrite(newClient(t, s, cfg), &writeOwner{}, value("new")), write)
				})
			})
		}
	}
}

func TestWriteIsCarriedOutThoughItsContextHasEnded(t *testing.T) {
	eachCarriedWrite(t, func(t *testing.T, s *fakeStore, w *Write, c carriedWrite) {
		ctx, leave := context.WithCancel(t.Context())
		leave()
		if err := c.call(ctx, w); err != nil || s.stored(t) != c.want {
			t.Errorf("error = %v, the store has %q; want nil, and %q", err, s.stored(t), c.want)
		}
	})
}

func TestWriteIsCarriedOutThoughItsCallerLeaves(t *testing.T) {
	eachCarriedWrite(t, func(t *testing.T, s *fakeStore, w *Write, c carriedWrite) {
		s.fail() // after a fault, commands whose callers can leave run on goroutines of their own
		b := w.Client.NewBudget()
		w.Client.ReadLeft(t.Context(), &b, key)
		ctx, leave := context.WithCancel(t.Context())
		s.setBefore(func(ctx context.Context, _, _ string) error {
			leave()
			time.Sleep(10 * time.Millisecond)
			return ctx.Err()
		})
		err := c.call(ctx, w)
		s.heal()
		if err != nil || s.stored(t) != c.want {
			t.Errorf("error = %v, the store has %q; want nil, and %q", err, s.stored(t), c.want)
		}
	})
}

func TestWriteKeepsTheValuesOfItsContext(t *testing.T) {
	type valueKey struct{}
	eachCarriedWrite(t, func(t *testing.T, s *fakeStore, w *Write, c carriedWrite) {
		ctx, leave := context.WithCancel(context.WithValue(t.Context(), valueKey{}, "v"))
		leave()
		s.setBefore(func(ctx context.Context, op, _ string) error {
			if ctx.Value(valueKey{}) != "v" && op != "Get" && op != "GetMany" {
				t.Errorf("the context of %s has lost its values", op)
			}
			return nil
		})
		if err := c.call(ctx, w); err != nil {
			t.Error(err)
		}
		s.heal() // Close repeats a number, which is nobody's call
	})
}

func TestWriteThatHangsHoldsItsCallerNoLongerThanItsTimeout(t *testing.T) {
	eachCarriedWrite(t, func(t *testing.T, s *fakeStore, w *Write, c carriedWrite) {
		s.setBefore(func(ctx context.Context, op, _ string) error {
			if op == "Get" {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		})
		start := time.Now()
		err := c.call(t.Context(), w)
		if d := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || d > w.Client.Timeout {
			t.Errorf("error = %v after %v; want one of the store's time after %v", err, d, w.Client.Timeout)
		}
	})
}

func TestClearTakesAsLongAsItMakesProgress(t *testing.T) {
	for name, tt := range map[string]struct {
		hangs bool
		took  time.Duration
	}{
		"Progress": {false, 90 * time.Second}, "HangsAtTheEnd": {true, 91 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				c := newClient(t, s)
				s.put(t, value("old"))
				s.setBefore(func(ctx context.Context, op, _ string) error {
					for range 100 {
						if op != "Clear" {
							return nil
						}
						time.Sleep(900 * time.Millisecond)
						driver.Progress(ctx)
					}
					if tt.hangs {
						<-ctx.Done()
					}
					return ctx.Err()
				})
				ctx, leave := context.WithCancel(t.Context())
				leave()
				start := time.Now()
				n, err := c.Clear(ctx, func() {})
				if (err == nil) == tt.hangs || (n == 1) == tt.hangs || time.Since(start) != tt.took {
					t.Errorf("Clear = %d, %v after %v", n, err, time.Since(start))
				}
				if tt.hangs && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Clear = %v; want that its time was over", err)
				}
			})
		})
	}
}

func TestPanicOfAStoreInClearIsAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		s.setBefore(func(context.Context, string, string) error { panic("ouch") })
		_, err := c.Clear(t.Context(), func() {})
		if bad, ok := errors.AsType[*OpError](err); !ok || bad.Op != "Clear" || faultsOf(c) == 0 {
			t.Errorf("Clear = %v; want an OpError, and a fault", err)
		}
	})
}

// Update and SetIfAbsent may give up, but only before they have sent anything that writes.
func TestWriteThatMayGiveUpSendsNothingAfterItsContext(t *testing.T) {
	for name, call := range map[string]func(ctx context.Context, w *Write) error{
		"Add": func(ctx context.Context, w *Write) error {
			_, err := w.Add(ctx)
			return err
		},
		"AddOverAUselessRecord": func(ctx context.Context, w *Write) error {
			l, err := w.lock(context.Background())
			if err == nil {
				defer l.close()
				_, err = w.replace(ctx, l, true)
			}
			return err
		},
		"Replace": func(ctx context.Context, w *Write) error {
			s, err := w.Snapshot(context.Background())
			defer s.Close() //nolint:staticcheck // it is made also with an error
			if err == nil {
				_, err = s.Replace(ctx)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				s.put(t, value("old"))
				ctx, leave := context.WithCancel(t.Context())
				leave()
				err := call(ctx, newWrite(newClient(t, s), &writeOwner{}, value("new")))
				if n := s.count("Add", "Commit", "Set", "Publish"); !errors.Is(err, context.Canceled) || n != 0 {
					t.Errorf("error = %v, %d commands that write; want the context's, and none", err, n)
				}
			})
		})
	}
}

func TestWriteThatHasBegunIsCarriedOut(t *testing.T) {
	for name, tt := range map[string]struct {
		there bool
		call  func(ctx context.Context, w *Write) (bool, error)
		op    string
	}{
		"Add": {false, func(ctx context.Context, w *Write) (bool, error) { return w.Add(ctx) }, "Add"},
		"Replace": {true, func(ctx context.Context, w *Write) (bool, error) {
			s, err := w.Snapshot(ctx)
			defer s.Close() //nolint:staticcheck // it is made also with an error
			if err != nil {
				return false, err
			}
			return s.Replace(ctx)
		}, "Commit"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				if tt.there {
					s.put(t, value("old"))
				}
				ctx, leave := context.WithCancel(t.Context())
				s.setBefore(func(ctx context.Context, op, _ string) error {
					if slices.Contains([]string{tt.op, "Publish"}, op) {
						leave()
						time.Sleep(10 * time.Millisecond)
					}
					return ctx.Err()
				})
				done, err := tt.call(ctx, newWrite(newClient(t, s), &writeOwner{}, value("new")))
				if !done || err != nil || s.stored(t) != "new" || s.count("Publish") != 1 {
					t.Errorf("%s = %v, %v, the store has %q, published %d times; want it carried out",
						name, done, err, s.stored(t), s.count("Publish"))
				}
			})
		})
	}
}
