package remote

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/record"
)

// A journal has the steps of an invalidation in order: the commands but reads, and what is
// done in this process.
type journal struct {
	mu    sync.Mutex // guards the field below
	steps []string
}

func (j *journal) note(step string) func() {
	return func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.steps = append(j.steps, step)
	}
}

// journalOf notes the commands of s. Those of the op called failing fail.
func journalOf(s *fakeStore, failing string) *journal {
	j := &journal{}
	s.setBefore(func(_ context.Context, op, _ string) error {
		if !strings.HasPrefix(op, "Get") && op != "Abort" { // an Abort comes in the background
			j.note(op)()
		}
		if op == failing {
			return errDown
		}
		return nil
	})
	return j
}

func TestStoreComesBeforeThisProcessAndOthersComeLast(t *testing.T) {
	removed := func(w *Write) *Write {
		w.Remove = true
		return w
	}
	for name, tt := range map[string]struct {
		write func(ctx context.Context, w *Write, drop func()) error
		last  string // the command that may fail
		want  string
	}{
		"Set":    {func(ctx context.Context, w *Write, _ func()) error { return w.Set(ctx) }, "Set", "Set drop Publish"},
		"Remove": {func(ctx context.Context, w *Write, _ func()) error { return removed(w).Set(ctx) }, "Delete", "Delete drop Publish"},
		"Add": {func(ctx context.Context, w *Write, _ func()) error {
			_, err := w.Add(ctx)
			return err
		}, "Add", "Add drop Publish"},
		"Replace": {func(ctx context.Context, w *Write, _ func()) error {
			s, err := w.Snapshot(ctx)
			if err != nil {
				s.Close()
				return err
			}
			defer s.Close()
			_, err = s.Replace(ctx)
			return err
		}, "Commit", "Acquire Commit drop Publish"},
		"Touch": {func(ctx context.Context, w *Write, _ func()) error {
			_, err := w.Touch(ctx, &Entry{}, time.Hour, 0)
			return err
		}, "Expire", "Expire forget Publish"},
		"Delete": {func(ctx context.Context, w *Write, drop func()) error {
			_, err := w.Client.Delete(ctx, []string{key}, func(int) { drop() })
			return err
		}, "Delete", "Delete drop Publish"},
		"Clear": {func(ctx context.Context, w *Write, drop func()) error {
			_, err := w.Client.Clear(ctx, drop)
			return err
		}, "Clear", "Clear drop Publish"},
		"DeleteTags": {func(ctx context.Context, w *Write, drop func()) error {
			return w.Client.DeleteTags(ctx, []string{"tag"}, func([]string) { drop() })
		}, "Delete", "Delete Delete drop Publish"},
	} {
		for suffix, failing := range map[string]string{"": "", "/StoreFails": tt.last} {
			t.Run(name+suffix, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newStore(t)
					j := journalOf(s, failing)
					w := newWrite(newClient(t, s), &writeOwner{drop: j.note("drop"), forget: j.note("forget")}, value("1"))
					err := tt.write(t.Context(), w, j.note("drop"))
					if bad, ok := errors.AsType[*OpError](err); failing == "" && err != nil || failing != "" && (!ok || bad.Op != failing) {
						t.Errorf("error = %v; want an OpError of %q", err, failing)
					}
					want := tt.want
					if failing != "" { // a DeleteTags whose first step fails does not take the second
						want = strings.Replace(want, "Delete Delete", "Delete", 1)
					}
					if got := strings.Join(j.steps, " "); got != want {
						t.Errorf("steps: %s; want %s", got, want)
					}
				})
			})
		}
	}
}

func TestWriteThatChangesNothingInvalidatesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.put(t, value("there"))
		j := journalOf(s, "")
		w := newWrite(newClient(t, s), &writeOwner{drop: j.note("drop")}, value("new"))
		absent, err := w.Add(t.Context())
		if absent || err != nil || s.stored(t) != "there" || !slices.Equal(j.steps, []string{"Add"}) {
			t.Errorf("Add = %v, %v by %v; want false by an Add alone", absent, err, j.steps)
		}
		n, err := w.Client.Delete(t.Context(), nil, func(int) { j.note("drop")() })
		if n != 0 || err != nil || !slices.Equal(j.steps, []string{"Add"}) {
			t.Errorf("Delete of no keys = %v, %v by %v", n, err, j.steps)
		}
	})
}

func TestAddReplacesARecordOfNoUse(t *testing.T) {
	invalid := value("old", record.Tag{Name: "lost", Gen: "1"})
	for name, tt := range map[string]struct {
		cfg    func(*Config)
		there  driver.Record
		absent bool
		stored string
	}{
		"Foreign":     {func(*Config) {}, driver.Record{Data: []byte("foreign"), TTL: time.Hour}, true, "new"},
		"Invalid":     {func(*Config) {}, invalid, true, "new"},
		"InvalidBare": {func(cfg *Config) { cfg.Store = bareStore{cfg.Store} }, invalid, true, "new"},
		"Valid":       {func(*Config) {}, value("old"), false, "old"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				s.put(t, tt.there)
				absent, err := newWrite(newClient(t, s, tt.cfg), &writeOwner{}, value("new")).Add(t.Context())
				if absent != tt.absent || err != nil || s.stored(t) != tt.stored {
					t.Errorf("Add = %v, %v, the store has %q; want %v and %q", absent, err, s.stored(t), tt.absent, tt.stored)
				}
			})
		})
	}
}

func TestAddLooksAgainUnderTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.put(t, value("old", record.Tag{Name: "lost", Gen: "1"}))
		s.setAfter(func(op, _ string) error {
			if op == "Acquire" {
				s.put(t, value("other")) // another write comes before this one has read again
			}
			return nil
		})
		absent, err := newWrite(newClient(t, s), &writeOwner{}, value("new")).Add(t.Context())
		if absent || err != nil || s.stored(t) != "other" {
			t.Errorf("Add = %v, %v, the store has %q; want false and the other write", absent, err, s.stored(t))
		}
	})
}

func TestAddOfNothingOnlyLooks(t *testing.T) {
	for name, there := range map[string]bool{"Absent": false, "Present": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				if there {
					s.put(t, value("old"))
				}
				w := newWrite(newClient(t, s), &writeOwner{}, driver.Record{})
				w.Remove = true
				if absent, err := w.Add(t.Context()); absent == there || err != nil || s.total() != s.count("Get") {
					t.Errorf("Add = %v, %v by %d commands", absent, err, s.total())
				}
			})
		})
	}
}

func TestPauseEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := Pause(t.Context(), 0); err != nil || time.Since(start) != 0 {
			t.Errorf("the first Pause = %v after %v", err, time.Since(start))
		}
		var longest time.Duration
		for try := 1; try < Tries; try++ {
			start := time.Now()
			err := Pause(t.Context(), try)
			if d := time.Since(start); err != nil ||
				d >= min(32*time.Millisecond, time.Millisecond<<try) {
				t.Errorf("Pause %d = %v after %v", try, err, d)
			}
			longest = max(longest, time.Since(start))
		}
		if longest <= time.Millisecond {
			t.Errorf("the longest Pause of %d took %v", Tries-1, longest)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, try := range []int{0, Tries - 1} {
			if err := Pause(ctx, try); !errors.Is(err, context.Canceled) {
				t.Errorf("Pause %d of a context that has ended = %v", try, err)
			}
		}
	})
}

// opened makes the breaker skip commands, while the store is well.
func opened(t *testing.T, c *Client) {
	t.Helper()
	for range breakAfter {
		c.saw(key, errDown)
	}
	if c.allows(key) {
		t.Fatal("the breaker allows commands")
	}
}

func TestWritesAreSentThoughTheBreakerIsOpen(t *testing.T) {
	for name, tt := range map[string]struct {
		write func(t *testing.T, w *Write) error
		want  string // that the store has then
	}{
		"Set": {func(t *testing.T, w *Write) error {
			opened(t, w.Client)
			return w.Set(t.Context())
		}, "new"},
		"Remove": {func(t *testing.T, w *Write) error {
			opened(t, w.Client)
			w.Remove = true
			return w.Set(t.Context())
		}, "-"},
		"Add": {func(t *testing.T, w *Write) error {
			w.Client.Store.Delete(t.Context(), key)
			opened(t, w.Client)
			_, err := w.Add(t.Context())
			return err
		}, "new"},
		"Touch": {func(t *testing.T, w *Write) error {
			opened(t, w.Client)
			_, err := w.Touch(t.Context(), &Entry{}, time.Hour, 0)
			return err
		}, "old"},
		"Replace": {func(t *testing.T, w *Write) error {
			opened(t, w.Client)
			l, err := w.lock(t.Context())
			if err != nil {
				return err
			}
			defer l.close()
			_, err = w.replace(t.Context(), l, true)
			return err
		}, "new"},
		"Reslide": {func(t *testing.T, w *Write) error {
			w.Client.Store.(*fakeStore).setBefore(func(_ context.Context, op, _ string) error {
				if op == "Acquire" {
					opened(t, w.Client)
				}
				return nil
			})
			_, err := touch(t, w, time.Hour)
			return err
		}, "old"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				s.put(t, value("old"))
				w := newWrite(newClient(t, s), &writeOwner{}, value("new"))
				if err := tt.write(t, w); err != nil || s.stored(t) != tt.want {
					t.Errorf("error = %v, the store has %q; want nil, and %q",
						err, s.stored(t), tt.want)
				}
				if _, slide := slideOfAny(t, s); (slide == time.Hour) != (name == "Reslide") {
					t.Errorf("the slide is %v", slide)
				}
			})
		})
	}
}

// slideOfAny is slideOf that allows for no record.
func slideOfAny(t *testing.T, s *fakeStore) (left, slide time.Duration) {
	t.Helper()
	if s.stored(t) == "-" {
		return 0, 0
	}
	return slideOf(t, s)
}

func TestAddFails(t *testing.T) {
	for name, tt := range map[string]struct {
		remove bool
		op     string
		nth    int // of the commands of op
		want   string
		asks   int
	}{
		"Remove":     {true, "Get", 1, "Get", 0},
		"Add":        {false, "Add", 1, "Add", 0},
		"FirstLook":  {false, "Get", 1, "Get", 0},
		"Acquire":    {false, "Acquire", 1, "Acquire", 1},
		"SecondLook": {false, "Get", 2, "Get", 1},
		"Commit":     {false, "Commit", 1, "Commit", 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				s.put(t, driver.Record{Data: []byte("foreign"), TTL: time.Hour})
				s.setBefore(func(_ context.Context, op, _ string) error {
					if op == tt.op && s.count(op) == tt.nth {
						return errDown
					}
					return nil
				})
				w := newWrite(newClient(t, s), &writeOwner{}, value("new"))
				w.Remove = tt.remove
				absent, err := w.Add(t.Context())
				if bad, ok := errors.AsType[*OpError](err); !ok || bad.Op != tt.want || absent ||
					s.count("Acquire") != tt.asks {
					t.Errorf("Add = %v, %v by %d asks; want false, and a fault of %s by %d",
						absent, err, s.count("Acquire"), tt.want, tt.asks)
				}
				if synctest.Wait(); !unheld(t, s) {
					t.Error("the lease was not given back")
				}
			})
		})
	}
}

func TestAddLooksAgainOnceItHasTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.put(t, value("old", record.Tag{Name: "lost", Gen: "1"}))
		s.setBefore(func(_ context.Context, op, _ string) error {
			if op == "Acquire" {
				s.put(t, value("other"))
			}
			return nil
		})
		absent, err := newWrite(newClient(t, s), &writeOwner{}, value("new")).Add(t.Context())
		if absent || err != nil || s.stored(t) != "other" {
			t.Errorf("Add = %v, %v, the store has %q; want false and the other write",
				absent, err, s.stored(t))
		}
		if synctest.Wait(); !unheld(t, s) {
			t.Error("the lease was not given back")
		}
	})
}

func TestFaultOfAReadIsNoMiss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.fail()
		_, err := newWrite(newClient(t, s), &writeOwner{useless: true}, value("1")).Read(t.Context())
		if bad, ok := errors.AsType[*OpError](err); !ok || bad.Op != "Get" {
			t.Errorf("Read = %v; want an OpError of Get", err)
		}
	})
}

// A flight that commits between a write and its Drop would not know of the write.
func TestTurnInABareStoreLastsUntilTheKeyIsDropped(t *testing.T) {
	for name, write := range map[string]func(ctx context.Context, w *Write) error{
		"Set": func(ctx context.Context, w *Write) error { return w.Set(ctx) },
		"Add": func(ctx context.Context, w *Write) error {
			_, err := w.Add(ctx)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, o := newStore(t), &writeOwner{}
				c := newClient(t, s, bare(s))
				dropped := false
				o.drop = func() { dropped = slices.Equal(c.writing(), []string{key}) }
				if err := write(t.Context(), newWrite(c, o, value("1"))); err != nil || !dropped ||
					len(c.writing()) != 0 {
					t.Errorf("error = %v, dropped within the turn: %v, turns left: %v",
						err, dropped, c.writing())
				}
				defer occupy(t, c, key)()
				sent := s.total()
				err := write(t.Context(), newWrite(c, o, value("2")))
				if bad, ok := errors.AsType[*OpError](err); !ok || !bad.Skipped() || s.total() != sent {
					t.Errorf("without a turn: %v by %d commands; want an OpError that is Skipped by none",
						err, s.total()-sent)
				}
			})
		})
	}
}

func TestErrorOfAWriteComesBeforeThatOfItsPublication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		near, _ := newNearClient(t, s)
		errOther := errors.New("other")
		for _, tt := range []struct {
			c                *Client
			err, pub         error
			want, wantReport error
		}{
			{near, nil, nil, nil, nil},
			{near, errDown, errOther, errDown, nil},
			{near, nil, errOther, errOther, nil},
			{near, nil, ErrClosed, ErrClosed, nil},
			{&Client{}, errDown, errOther, errDown, nil},
			{&Client{}, nil, errOther, nil, errOther},
			{&Client{}, nil, ErrClosed, ErrClosed, nil},
		} {
			var reported error
			err := tt.c.published(tt.err, tt.pub, func(err error) { reported = err })
			if !errors.Is(err, tt.want) || !errors.Is(reported, tt.wantReport) {
				t.Errorf("published(%v, %v) = %v, reported: %v; want %v, %v",
					tt.err, tt.pub, err, reported, tt.want, tt.wantReport)
			}
		}
	})
}
