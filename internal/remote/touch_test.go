package remote

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/record"
)

// touch gives the record of key a new life of an hour, and lets uses extend it to slide.
func touch(t *testing.T, w *Write, slide time.Duration) (bool, error) {
	t.Helper()
	e, err := w.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return w.Touch(t.Context(), &e, time.Hour, slide)
}

// slideOf returns the time left and the slide of the record of key.
func slideOf(t *testing.T, s *fakeStore) (left, slide time.Duration) {
	t.Helper()
	r, err := s.Store.Get(t.Context(), key)
	var rec record.Record
	if err := errors.Join(err, record.Parse(r.Data, &rec)); err != nil {
		t.Fatal(err)
	}
	return r.TTL, rec.Slide
}

func brief(payload string) driver.Record {
	r := value(payload)
	r.TTL = time.Minute
	return r
}

func TestTouchRewritesTheRecordOnlyForAnotherSlide(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg   func(*Config)
		slide time.Duration
		cmds  []string
	}{
		"SameSlide":    {func(*Config) {}, 0, []string{"Expire"}},
		"AnotherSlide": {func(*Config) {}, time.Hour, []string{"Acquire", "Commit", "Expire"}},
		"Bare":         {func(cfg *Config) { cfg.Store = bareStore{cfg.Store} }, time.Hour, []string{"Expire", "Set", "Expire"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, forgets := newStore(t), 0
				s.put(t, brief("old"))
				o := &writeOwner{forget: func() { forgets++ }, drop: func() { t.Error("a Touch has discarded a flight") }}
				there, err := touch(t, newWrite(newClient(t, s, tt.cfg), o, driver.Record{}), tt.slide)
				left, slide := slideOf(t, s)
				if !there || err != nil || left != time.Hour || slide != tt.slide || s.stored(t) != "old" || forgets != 1 {
					t.Errorf("Touch = %v, %v; %v left, slide %v, forgotten %d times", there, err, left, slide, forgets)
				}
				var cmds []string
				for _, cmd := range s.commands("Acquire", "Commit", "Expire", "Set", "Add") {
					cmds = append(cmds, cmd.op)
				}
				if fmt.Sprint(cmds) != fmt.Sprint(tt.cmds) {
					t.Errorf("Touch has sent %v; want %v", cmds, tt.cmds)
				}
			})
		})
	}
}

func TestTouchGivesWayToAFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		version := s.put(t, brief("old"))
		f := fetched(t, c, &owner{}, func(f *Fetch) { f.Seen = version })
		asks := s.count("Acquire")
		there, err := touch(t, newWrite(c, &writeOwner{}, driver.Record{}), time.Hour)
		if n := s.count("Acquire") - asks; !there || err != nil || n != busyTries {
			t.Errorf("Touch = %v, %v by %d asks; want true by %d", there, err, n, busyTries)
		}
		if left, slide := slideOf(t, s); left < 59*time.Minute || slide != 0 {
			t.Errorf("%v are left, slide %v; want an hour and no slide", left, slide)
		}
		if fate := f.Commit(storable("fetched")); fate != Stored {
			t.Errorf("Commit of the fetch = %v; want Stored", fate)
		}
	})
}

func TestTouchTriesAgainAfterAnotherWrite(t *testing.T) {
	for name, tt := range map[string]struct {
		writes int
		want   error
	}{
		"Once": {1, nil}, "Always": {Tries, ErrBusy},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				c := newClient(t, s)
				s.put(t, brief("old"))
				s.setBefore(func(_ context.Context, op, _ string) error {
					if op == "Commit" && s.count("Commit") <= tt.writes {
						s.put(t, brief("other"))
					}
					return nil
				})
				start := time.Now()
				_, err := touch(t, newWrite(c, &writeOwner{}, driver.Record{}), time.Hour)
				if d := time.Since(start); d == 0 || d > Tries*32*time.Millisecond {
					t.Errorf("it took %v; want a pause before each attempt but the first", d)
				}
				if !errors.Is(err, tt.want) || s.stored(t) != "other" {
					t.Errorf("Touch = %v, the store has %q; want %v and the other write", err, s.stored(t), tt.want)
				}
				if _, slide := slideOf(t, s); (slide == time.Hour) != (err == nil) {
					t.Errorf("the slide is %v", slide)
				}
			})
		})
	}
}

func TestTouchDoesNotReviveARecordThatIsGone(t *testing.T) {
	for name, cfg := range map[string]func(*Config){
		"Leaser": func(*Config) {}, "Bare": func(cfg *Config) { cfg.Store = bareStore{cfg.Store} },
	} {
		for _, slide := range []time.Duration{0, time.Hour} {
			for _, last := range []string{"Commit", "Expire"} {
				t.Run(fmt.Sprint(name, "/", slide, "/", last), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := newStore(t)
						s.put(t, brief("old"))
						s.setBefore(func(ctx context.Context, op, _ string) error {
							if op == last {
								s.Store.Delete(ctx, key)
							}
							return nil
						})
						there, err := touch(t, newWrite(newClient(t, s, cfg), &writeOwner{}, driver.Record{}), slide)
						if gone := s.count(last) > 0; gone && (there || err != nil || s.stored(t) != "-") {
							t.Errorf("Touch = %v, %v, the store has %q; want false, and nothing", there, err, s.stored(t))
						}
					})
				})
			}
		}
	}
}

func TestTouchThatRemovesDeletes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.put(t, brief("old"))
		w := newWrite(newClient(t, s), &writeOwner{}, driver.Record{})
		w.Remove = true
		if there, err := touch(t, w, 0); there || err != nil || s.stored(t) != "-" {
			t.Errorf("Touch = %v, %v, the store has %q; want false, and nothing", there, err, s.stored(t))
		}
	})
}

func TestTouchFails(t *testing.T) {
	bareStore := func(cfg *Config) { cfg.Store = bareStore{cfg.Store} }
	for name, tt := range map[string]struct {
		cfg    func(*Config)
		remove bool
		slide  time.Duration
		op     string
		want   time.Duration // the slide then
	}{
		"Remove":      {func(*Config) {}, true, 0, "Delete", 0},
		"Expire":      {func(*Config) {}, false, 0, "Expire", 0},
		"Acquire":     {func(*Config) {}, false, time.Hour, "Acquire", 0},
		"Commit":      {func(*Config) {}, false, time.Hour, "Commit", 0},
		"LastExpire":  {func(*Config) {}, false, time.Hour, "Expire", time.Hour},
		"FirstExpire": {bareStore, false, time.Hour, "Expire", 0},
		"Set":         {bareStore, false, time.Hour, "Set", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				s.put(t, brief("old"))
				s.fail(tt.op)
				w := newWrite(newClient(t, s, tt.cfg), &writeOwner{}, driver.Record{})
				w.Remove = tt.remove
				there, err := touch(t, w, tt.slide)
				if bad, ok := errors.AsType[*OpError](err); !ok || bad.Op != tt.op || there ||
					s.count(tt.op) != 1 {
					t.Errorf("Touch = %v, %v by %d commands; want false, and a fault of %s by 1",
						there, err, s.count(tt.op), tt.op)
				}
				left, slide := slideOf(t, s)
				if slide != tt.want || tt.op != "Set" && left != time.Minute {
					t.Errorf("%v are left, slide %v; want the minute from before, and %v",
						left, slide, tt.want)
				}
				if synctest.Wait(); tt.op != "Delete" && !unheld(t, s) {
					t.Error("the lease was not given back")
				}
			})
		})
	}
}

func TestTouchThatReadsNothingAnyMoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.put(t, brief("old"))
		s.setBefore(func(_ context.Context, op, _ string) error {
			if op == "Get" && s.count("Get") == 2 {
				return errDown
			}
			return nil
		})
		there, err := touch(t, newWrite(newClient(t, s), &writeOwner{}, driver.Record{}), time.Hour)
		if !errors.Is(err, errDown) || there || s.count("Acquire") != 0 {
			t.Errorf("Touch = %v, %v by %d asks; want the store's error by none",
				there, err, s.count("Acquire"))
		}
	})
}

func TestTouchInABareStoreKeepsOtherWritesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.put(t, brief("old"))
		c, done := newClient(t, s, bare(s)), make(chan error, 1)
		s.setBefore(func(_ context.Context, op, _ string) error {
			if op == "Expire" && s.count("Expire") == 1 {
				go func() { done <- newWrite(c, &writeOwner{}, value("other")).Set(t.Context()) }()
				time.Sleep(time.Second / 4)
			}
			return nil
		})
		there, err := touch(t, newWrite(c, &writeOwner{}, driver.Record{}), time.Hour)
		if setErr := <-done; !there || err != nil || setErr != nil || s.stored(t) != "other" {
			t.Errorf("Touch = %v, %v, Set = %v, the store has %q; want the other write",
				there, err, setErr, s.stored(t))
		}
	})
}

func TestTouchGivesWayToAFetchButNotToManyWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.put(t, brief("old"))
		s.setBefore(func(_ context.Context, op, _ string) error {
			if op == "Acquire" && s.count("Acquire") <= busyTries+1 {
				s.put(t, brief("other")) // the answer is Hit
			}
			return nil
		})
		there, err := touch(t, newWrite(newClient(t, s), &writeOwner{}, driver.Record{}), time.Hour)
		if _, slide := slideOf(t, s); !there || err != nil || slide != time.Hour {
			t.Errorf("Touch = %v, %v, slide %v; want an hour", there, err, slide)
		}
	})
}

func TestTouchEndsASlide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		rec := record.Record{
			Kind: record.Value, Created: time.Now(), Slide: time.Hour, Payload: []byte("old"),
		}
		s.put(t, driver.Record{Data: rec.AppendTo(nil), TTL: time.Minute})
		there, err := touch(t, newWrite(newClient(t, s), &writeOwner{}, driver.Record{}), 0)
		if left, slide := slideOf(t, s); !there || err != nil || left != time.Hour || slide != 0 {
			t.Errorf("Touch = %v, %v; %v left, slide %v; want an hour, and no slide",
				there, err, left, slide)
		}
	})
}

func TestTouchWaitsForAHolderThatIsSoonOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.put(t, brief("old"))
		token := s.hold(t, "another", time.Hour)
		s.setAfter(func(op, _ string) error {
			if op == "Acquire" && s.count("Acquire") == 3 {
				s.Store.Abort(t.Context(), key, token)
			}
			return nil
		})
		there, err := touch(t, newWrite(newClient(t, s), &writeOwner{}, driver.Record{}), time.Hour)
		if _, slide := slideOf(t, s); !there || err != nil || slide != time.Hour {
			t.Errorf("Touch = %v, %v, slide %v; want an hour", there, err, slide)
		}
	})
}

func TestResliddenRecordKeepsItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		version := s.put(t, brief("old"))
		w := newWrite(newClient(t, s), &writeOwner{}, driver.Record{})
		time.Sleep(time.Minute - time.Microsecond)
		state, err := w.tryReslide(t.Context(), time.Hour, time.Hour)
		if state != driver.Won || err != nil || w.Record.TTL != time.Millisecond ||
			w.Record.Version != version {
			t.Errorf("tryReslide = %v, %v, and has sent %+v; want the old Version, and the least time there is",
				state, err, w.Record)
		}
		if r, err := s.Store.Get(t.Context(), key); err != nil || r.TTL > time.Microsecond {
			t.Errorf("the record has %v left, %v; want its old end", r.TTL, err)
		}
	})
}

func TestTouchInABareStoreGivesTheNewLifeBeforeItWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.put(t, brief("old"))
		s.setBefore(func(_ context.Context, op, _ string) error {
			if op == "Expire" && s.count("Expire") == 2 {
				return errDown
			}
			return nil
		})
		w := newWrite(newClient(t, s, bare(s)), &writeOwner{}, driver.Record{})
		there, err := touch(t, w, 2*time.Hour)
		if left, slide := slideOf(t, s); there || !errors.Is(err, errDown) || left != time.Hour ||
			slide != 2*time.Hour {
			t.Errorf("Touch = %v, %v; %v left, slide %v; want the store's error, an hour and two",
				there, err, left, slide)
		}
	})
}
