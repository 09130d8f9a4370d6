package zodiac_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
)

// inNoTime runs a test in every tier, and wants no time to pass: nobody waits.
func inNoTime(t *testing.T, test func(t *testing.T, opts ...zodiac.Option)) {
	inEveryTier(t, func(t *testing.T, opts ...zodiac.Option) {
		began := time.Now()
		test(t, opts...)
		if d := time.Since(began); d > 200*time.Millisecond { // more than the pauses between attempts
			t.Errorf("it took %v: a call has waited for itself", d)
		}
	})
}

func seven(context.Context, string) (int, error) { return 7, nil }

func TestUpdateThatGetsItsOwnKeyDoesNotWaitForItself(t *testing.T) {
	for name, get := range map[string]func(context.Context, *zodiac.Loader[string, int]) (int, error){
		"Get":     func(ctx context.Context, l *zodiac.Loader[string, int]) (int, error) { return l.Get(ctx, "k") },
		"Refresh": func(ctx context.Context, l *zodiac.Loader[string, int]) (int, error) { return l.Refresh(ctx, "k") },
		"GetMany": func(ctx context.Context, l *zodiac.Loader[string, int]) (int, error) {
			m, err := l.GetMany(ctx, []string{"k", "other"})
			return m["k"], err
		},
		"Elsewhere": func(ctx context.Context, l *zodiac.Loader[string, int]) (int, error) {
			r := <-later(func() (int, error) { return l.Get(ctx, "k") })
			return r.value, r.err
		},
		"ThroughAnother": func(ctx context.Context, l *zodiac.Loader[string, int]) (int, error) {
			outer := zodiac.NewLoader(l.Get, zodiac.WithName("outer"))
			defer outer.Close(ctx)
			return outer.Get(ctx, "k")
		},
	} {
		t.Run(name, func(t *testing.T) {
			inNoTime(t, func(t *testing.T, opts ...zodiac.Option) {
				l := zodiac.NewLoader(seven, opts...)
				defer l.Close(t.Context())
				refreshed := false
				v, err := l.Update(t.Context(), "k", func(old int, ok bool) (int, error) {
					if refreshed {
						return old + 1, nil
					}
					refreshed = name == "Refresh" // else no attempt would ever succeed
					got, err := get(t.Context(), l)
					return got + 1, err
				})
				if v != 8 || err != nil {
					t.Errorf("Update = %v, %v; want 8, nil", v, err)
				}
				wantGet(t, l, "k", 8)
			})
		})
	}
}

func TestUpdateWithinAnUpdateOfTheSameKeyIsACycle(t *testing.T) {
	add := func(ctx context.Context, l *zodiac.Loader[string, int]) (int, error) {
		return zodiac.Add(ctx, l.Cache, "k", 1)
	}
	for name, again := range map[string]func(context.Context, *zodiac.Loader[string, int]) (int, error){
		"Add": add,
		"Update": func(ctx context.Context, l *zodiac.Loader[string, int]) (int, error) {
			return l.Update(ctx, "k", plusOne)
		},
		"ThroughAnotherKey": func(ctx context.Context, l *zodiac.Loader[string, int]) (int, error) {
			return l.Update(ctx, "other", func(int, bool) (int, error) { return add(ctx, l) })
		},
		"ThroughAFetch": func(ctx context.Context, l *zodiac.Loader[string, int]) (int, error) {
			outer := zodiac.NewLoader(func(ctx context.Context, _ string) (int, error) { return add(ctx, l) }, zodiac.WithName("outer"))
			defer outer.Close(ctx)
			return outer.Get(ctx, "k")
		},
		"ThroughGetMany": func(ctx context.Context, l *zodiac.Loader[string, int]) (int, error) {
			outer := zodiac.NewLoader(func(ctx context.Context, _ string) (int, error) { return add(ctx, l) }, zodiac.WithName("outer"))
			defer outer.Close(ctx)
			_, err := outer.GetMany(ctx, []string{"k", "other"})
			return 0, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			inNoTime(t, func(t *testing.T, opts ...zodiac.Option) {
				l := zodiac.NewLoader(seven, opts...)
				defer l.Close(t.Context())
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // ends the wait that there should not be
				defer cancel()
				_, err := l.Update(ctx, "k", func(int, bool) (int, error) { return again(ctx, l) })
				wantError(t, "Update", err, zodiac.ErrCycle)
				wantAbsent(t, l.Cache, "k")
				if v, err := add(ctx, l); v != 1 || err != nil { // the turn is free
					t.Errorf("Add = %v, %v; want 1, nil", v, err)
				}
			})
		})
	}
}

func TestUpdatesThatWaitForEachOtherAreACycle(t *testing.T) {
	inNoTime(t, func(t *testing.T, opts ...zodiac.Option) {
		l := zodiac.NewLoader(seven, opts...)
		defer l.Close(t.Context())
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		both := make(chan struct{})
		update := func(key, then string) func() (int, error) {
			return func() (int, error) {
				return l.Update(ctx, key, func(int, bool) (int, error) {
					both <- struct{}{}
					return zodiac.Add(ctx, l.Cache, then, 1)
				})
			}
		}
		a, b := later(update("a", "b")), later(update("b", "a"))
		<-both
		<-both
		ra, rb := <-a, <-b
		if (ra.err == nil) == (rb.err == nil) {
			t.Errorf("they returned %v and %v; want one ErrCycle", ra, rb)
		}
	})
}

// A fetch within which an Update runs has a context, so the function of the Update is recognized on
// every goroutine.
func TestUpdateWithinAFetchThatWaitsForTheFetchIsACycle(t *testing.T) {
	inNoTime(t, func(t *testing.T, opts ...zodiac.Option) {
		var l *zodiac.Loader[string, int]
		l = zodiac.NewLoader(func(ctx context.Context, key string) (int, error) {
			if key == "other" {
				return 7, nil
			}
			return l.Update(ctx, "other", func(int, bool) (int, error) { return l.Get(ctx, key) })
		}, opts...)
		defer l.Close(t.Context())
		_, err := l.Get(t.Context(), "k")
		wantError(t, "Get", err, zodiac.ErrCycle)
	})
}

func TestWritesWithinTheFetchOfTheirKeyDoNotWait(t *testing.T) {
	for name, write := range map[string]func(context.Context, *zodiac.Loader[string, int]) error{
		"Set":    func(ctx context.Context, l *zodiac.Loader[string, int]) error { return l.Set(ctx, "k", 1) },
		"Delete": func(ctx context.Context, l *zodiac.Loader[string, int]) error { return only(l.Delete(ctx, "k")) },
		"SetIfAbsent": func(ctx context.Context, l *zodiac.Loader[string, int]) error {
			return only(l.SetIfAbsent(ctx, "k", 1))
		},
		"Add": func(ctx context.Context, l *zodiac.Loader[string, int]) error {
			return only(zodiac.Add(ctx, l.Cache, "k", 1))
		},
		"Update": func(ctx context.Context, l *zodiac.Loader[string, int]) error {
			return only(l.Update(ctx, "k", plusOne))
		},
		"Touch": func(ctx context.Context, l *zodiac.Loader[string, int]) error { return only(l.Touch(ctx, "k")) },
	} {
		t.Run(name, func(t *testing.T) {
			inNoTime(t, func(t *testing.T, opts ...zodiac.Option) {
				var l *zodiac.Loader[string, int]
				l = zodiac.NewLoader(func(ctx context.Context, _ string) (int, error) { return 7, write(ctx, l) }, opts...)
				defer l.Close(t.Context())
				wantGet(t, l, "k", 7)
			})
		})
	}
}

// A caller beside an Update has nothing to do with it.
func TestCycleOfOneUpdateIsNotThatOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := zodiac.NewCache[string, int]()
		first := later(func() (int, error) {
			return c.Update(t.Context(), "k", func(int, bool) (int, error) {
				time.Sleep(time.Second)
				return 1, nil
			})
		})
		v, err := c.Update(t.Context(), "other", func(int, bool) (int, error) { return c.Update(t.Context(), "k", plusOne) })
		if v != 2 || err != nil {
			t.Errorf("Update = %v, %v; want 2, nil", v, err)
		}
		wantReply(t, "the first Update", first, 1)
	})
}
