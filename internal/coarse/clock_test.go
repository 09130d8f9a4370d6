package coarse

import (
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"pgregory.net/rapid"
)

// alive asks as the tier does: first the coarse clock, then the exact one.
func alive(c *Clock, expiry int64) bool {
	return c.Before(Sure(expiry)) || expiry == Never || c.Exact() < expiry
}

// armed reports whether the timer of c was armed. It stops the timer.
func armed(c *Clock) bool { return c.timer != nil && c.timer.Stop() }

// resting reports whether c is at rest.
func resting(c *Clock) bool { return c.now.Load() == atRest }

// use arms the timer of c.
func use(c *Clock) { c.Exact() }

// far is an expiry that no test reaches.
const far = int64(1000 * time.Hour)

func TestNewClockIsAtRestAndReadsZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		if now := c.Now(); now != 0 {
			t.Errorf("Now() = %d; want 0", now)
		}
		time.Sleep(time.Hour)
		if now := c.Now(); now != int64(time.Hour) {
			t.Errorf("Now() = %d; want an hour", now)
		}
		if !resting(c) || armed(c) {
			t.Error("an unused clock ticks")
		}
	})
}

func TestAtRestOnlyNeverIsCertainlyAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		for _, expiry := range []int64{0, 1, far, Never - 1, Never - int64(Slack)} {
			if c.Before(Sure(expiry)) {
				t.Errorf("Before(Sure(%d)) = true at rest; want false", expiry)
			}
		}
		if !c.Before(Sure(Never)) {
			t.Error("Before(Sure(Never)) = false; want true")
		}
		if !resting(c) || armed(c) {
			t.Error("Before has armed the clock")
		}
	})
}

func TestFirstUseArms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		time.Sleep(time.Minute)
		c.Now()
		if !resting(c) {
			t.Error("Now has armed the clock")
		}
		if now := c.Exact(); now != int64(time.Minute) {
			t.Errorf("Exact() = %d; want a minute", now)
		}
		if !c.Before(Sure(far)) {
			t.Error("Before(Sure(far)) = false right after Exact")
		}
		if !armed(c) {
			t.Error("Exact has not armed the clock")
		}
	})
}

func TestGrainWithoutUseBringsTheClockToRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		for range 3 { // the clock can be used again after each rest
			use(c)
			time.Sleep(2*Grain - 1)
			if resting(c) {
				t.Fatal("at rest before a grain without use was over")
			}
			time.Sleep(2 * time.Nanosecond)
			if !resting(c) || armed(c) {
				t.Fatal("not at rest after a grain without use")
			}
			time.Sleep(time.Hour)
			if !resting(c) || armed(c) {
				t.Fatal("not at rest an hour later, though unused")
			}
		}
	})
}

func TestUsedClockTicksOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		use(c)
		for i := range 1000 {
			time.Sleep(Grain)
			synctest.Wait() // for the tick of this moment
			if !c.Before(Sure(far)) {
				t.Fatalf("at rest after %d grains, though used in each", i+1)
			}
			if lag := c.Now() - c.now.Load(); lag != 0 {
				t.Fatalf("the coarse time is %v late at a tick; want 0", time.Duration(lag))
			}
		}
	})
}

// An entry that never expires needs no clock. Reading it keeps a ticking clock from coming to
// rest, but does not arm one at rest.
func TestReadingAnEntryThatNeverExpiresDoesNotArm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		for range 10 {
			if !alive(c, Never) {
				t.Fatal("alive(Never) = false")
			}
			time.Sleep(Grain)
		}
		if !resting(c) || armed(c) {
			t.Error("reading an entry that never expires has armed the clock")
		}
	})
}

func TestBeforeIsStrict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		time.Sleep(time.Second)
		now := c.Exact()
		if c.Before(now) || !c.Before(now+1) {
			t.Errorf("at a tick, Before(now), Before(now+1) = %v, %v; want false, true",
				c.Before(now), c.Before(now+1))
		}
	})
}

func TestBoundariesAreExact(t *testing.T) {
	lives := []time.Duration{
		1, Grain - 1, Grain, Grain + 1,
		Slack - 1, Slack, Slack + 1, Slack + Grain,
		time.Second, 24 * time.Hour,
	}
	for _, life := range lives {
		for _, reads := range []int{0, 1, 7, 100} { // before the expiry, so that the clock ticks or rests
			synctest.Test(t, func(t *testing.T) {
				c := New()
				time.Sleep(12345678)
				expiry := c.Now() + int64(life)
				for range reads {
					if !alive(c, expiry) {
						t.Fatalf("life %v: not alive %v before the expiry",
							life, time.Duration(expiry-c.Now()))
					}
					time.Sleep(time.Duration(expiry-c.Now()) / 3)
				}
				time.Sleep(time.Duration(expiry-c.Now()) - 1)
				if !alive(c, expiry) {
					t.Fatalf("life %v: not alive a nanosecond before the expiry", life)
				}
				time.Sleep(1 * time.Nanosecond)
				if alive(c, expiry) {
					t.Fatalf("life %v: alive at its expiry", life)
				}
			})
		}
	}
}

// A tick that is late by no more than Slack minus Grain does no harm.
func TestLateTickIsNotTrustedTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		use(c)
		if !c.timer.Stop() { // like a timer whose callback the machine is too busy to run
			t.Fatal("not armed")
		}
		tick := c.Now()
		time.Sleep(Slack - 1)
		for expiry := tick; expiry < tick+2*int64(Slack); expiry += int64(time.Millisecond) {
			if c.Before(Sure(expiry)) && c.Now() >= expiry {
				t.Errorf("%v after the last tick: Before = true, %v after the expiry",
					Slack-1, time.Duration(c.Now()-expiry))
			}
		}
		if !c.Before(Sure(c.Now() + int64(Slack))) {
			t.Error("Before = false for an expiry that is Slack away; want true")
		}
	})
}

func TestStoppedClockStaysExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]*Clock{"unused": New(), "used": New()} {
			if name == "used" {
				use(c)
			}
			c.Stop()
			c.Stop()
			expiry := c.Now() + int64(time.Second)
			if !alive(c, expiry) || c.Before(Sure(expiry)) {
				t.Errorf("%s: a stopped clock has a coarse time, or alive is false before the expiry",
					name)
			}
			if !resting(c) || armed(c) {
				t.Errorf("%s: a stopped clock ticks", name)
			}
			time.Sleep(time.Second)
			if now := c.Exact(); now != expiry || alive(c, expiry) {
				t.Errorf("%s: Exact() = %d; want %d", name, now, expiry)
			}
			if !resting(c) || armed(c) {
				t.Errorf("%s: a stopped clock was armed again", name)
			}
		}
	})
}

// A tick may have begun before Stop is called.
func TestTickAfterStopDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		use(c)
		c.Stop()
		c.tick()
		if !resting(c) || armed(c) {
			t.Error("a tick after Stop has armed the clock")
		}
	})
}

func TestClocksDoNotShareTimeOrTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		older := New()
		time.Sleep(time.Minute)
		younger := New()
		use(older)
		if !resting(younger) {
			t.Error("using one clock has armed another")
		}
		use(younger)
		older.Stop()
		time.Sleep(Grain)
		synctest.Wait()
		if !younger.Before(Sure(far)) || resting(younger) {
			t.Error("stopping one clock has stopped another")
		}
		if a, b := older.Exact(), younger.Exact(); a-b != int64(time.Minute) {
			t.Errorf("Exact() = %d and %d; want a minute between", a, b)
		}
	})
}

func TestTimeIsTheWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		time.Sleep(90 * time.Minute)
		if got, want := c.Time(c.Now()), time.Now(); !got.Equal(want) {
			t.Errorf("Time(Now()) = %v; want %v", got, want)
		}
	})
}

func TestExpiryUndoesSure(t *testing.T) {
	for _, expiry := range []int64{math.MinInt64 + int64(Slack), -1, 0, 1, far, Never - 1, Never} {
		if got := Expiry(Sure(expiry)); got != expiry {
			t.Errorf("Expiry(Sure(%d)) = %d; want the same", expiry, got)
		}
	}
	if Sure(Never) != Never {
		t.Errorf("Sure(Never) = %d; want Never", Sure(Never))
	}
	if Slack < 2*Grain {
		t.Errorf("Slack = %v; want at least 2×%v: the last tick may be a Grain old, and the next one late",
			Slack, Grain)
	}
}

// A clock that has come to rest is garbage when nobody uses it: its timer does not hold it.
func TestUnusedClockAtRestIsGarbage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		use(c)
		time.Sleep(time.Second)
		w := weak.Make(c)
		runtime.KeepAlive(c)
		c = nil //nolint:ineffassign // nobody holds it any more
		runtime.GC()
		if w.Value() != nil {
			t.Error("a clock at rest is kept alive")
		}
	})
}

// The law: if Before says that an expiry is in the future, it is, whatever was read before. And
// the clock is useful: if the coarse time was used within the last grain, Before is true for an
// expiry that is far enough away.
func TestCertainlyAliveIsAlive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			clocks := []*Clock{New()}
			used := map[*Clock]int64{} // the time of the last use
			pick := func(t *rapid.T) *Clock { return clocks[rapid.IntRange(0, len(clocks)-1).Draw(t, "clock")] }
			t.Repeat(map[string]func(*rapid.T){
				"new": func(t *rapid.T) {
					if len(clocks) == 3 {
						t.Skip("there are enough clocks")
					}
					clocks = append(clocks, New())
				},
				"sleep": func(t *rapid.T) {
					time.Sleep(someTime(t))
					synctest.Wait() // a tick that is due at this instant comes before the next use
				},
				"tickAtOnce": func(*rapid.T) {
					time.Sleep(Grain)
					synctest.Wait()
				},
				"exact": func(t *rapid.T) {
					c := pick(t)
					rests := c.now.Load() == atRest
					before, exact := c.Now(), c.Exact()
					if before != exact {
						t.Fatalf("Exact() = %d; want %d", exact, before)
					}
					if rests { // else it arms nothing, and counts as no use
						used[c] = exact
					}
				},
				"read": func(t *rapid.T) {
					c := pick(t)
					now := c.Now()
					expiry := now + int64(someTime(t)) - int64(Slack)
					sure := c.Before(Sure(expiry))
					if sure && now >= expiry-int64(Slack)+int64(Grain) {
						t.Fatalf("Before = true %v before the expiry; the last tick is more than a grain old",
							time.Duration(expiry-now))
					}
					last, ok := used[c]
					if !sure && ok && now-last < int64(Grain) && expiry-now > int64(Slack+Grain) {
						t.Fatalf("Before = false %v before the expiry, %v after the last use",
							time.Duration(expiry-now), time.Duration(now-last))
					}
					if sure {
						used[c] = now
					}
				},
				"": func(t *rapid.T) {
					for _, c := range clocks {
						if now := c.now.Load(); now != atRest && (now > c.Now() || c.Now()-now > int64(Grain)) {
							t.Fatalf("the coarse time is %d at %d; want at most a grain before",
								now, c.Now())
						}
					}
				},
			})
		})
	})
}

// someTime draws a duration close to one that matters.
func someTime(t *rapid.T) time.Duration {
	around := rapid.SampledFrom([]time.Duration{
		0, Grain, 2 * Grain, Slack - Grain, Slack, Slack + Grain, 2 * Slack, time.Hour,
	}).Draw(t, "around")
	off := rapid.SampledFrom([]time.Duration{-1, 0, 1, time.Millisecond, Grain / 2}).Draw(t, "off")
	return max(1, around+off)
}

// Many readers read at the same time, each at its own pace. The time of the bubble stands still
// while they run, so they can tell exactly whether an entry is alive.
func TestManyReadersAgreeOnTheBoundary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		var readers sync.WaitGroup
		for range 8 {
			readers.Go(func() {
				expiry := c.Now() + int64(time.Second)
				for range 300 {
					before := c.Now()
					ok := alive(c, expiry)
					if want := before < expiry; ok != want {
						t.Errorf("alive = %v, %v before the expiry",
							ok, time.Duration(expiry-before))
						return
					}
					if !ok {
						expiry = c.Now() + rand.Int64N(int64(time.Second))
					}
					time.Sleep(rand.N(2 * Grain))
				}
			})
		}
		readers.Wait()
		c.Stop()
	})
}
