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

// alive is how the tier asks: cheaply if that is certain, else exactly.
func alive(c *Clock, expiry int64) bool {
	return c.Before(Sure(expiry)) || expiry == Never || c.Exact() < expiry
}

// armed reports whether the clock's timer is to fire, and undoes that.
func armed(c *Clock) bool { return c.timer != nil && c.timer.Stop() }

func resting(c *Clock) bool { return c.now.Load() == atRest }

// use makes the clock tick.
func use(c *Clock) { c.Exact() }

const far = int64(1000 * time.Hour)

func TestANewClockIsAtRestAndReadsZero(t *testing.T) {
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
			t.Error("a clock ticks that nobody has used")
		}
	})
}

func TestAtRestOnlyWhatNeverExpiresIsCertainlyAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		for _, expiry := range []int64{0, 1, far, Never - 1, Never - int64(Slack)} {
			if c.Before(Sure(expiry)) {
				t.Errorf("Before(Sure(%d)) = true at rest", expiry)
			}
		}
		if !c.Before(Sure(Never)) {
			t.Error("Before(Never) = false")
		}
		if !resting(c) || armed(c) {
			t.Error("Before has armed the clock")
		}
	})
}

func TestTheFirstUseArms(t *testing.T) {
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

func TestAGrainWithoutUseDisarms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		for range 3 { // once more after each rest
			use(c)
			time.Sleep(2*Grain - 1)
			if resting(c) {
				t.Fatal("at rest before a grain without use was over")
			}
			time.Sleep(2 * time.Nanosecond)
			if !resting(c) || armed(c) {
				t.Fatal("ticks on after a grain without use")
			}
			time.Sleep(time.Hour)
			if !resting(c) || armed(c) {
				t.Fatal("ticks again, unused")
			}
		}
	})
}

func TestAUsedClockTicksOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		use(c)
		for i := range 1000 {
			time.Sleep(Grain)
			synctest.Wait() // the tick comes at this very moment
			if !c.Before(Sure(far)) {
				t.Fatalf("at rest after %d grains, though used in every one", i+1)
			}
			if lag := c.Now() - c.now.Load(); lag != 0 {
				t.Fatalf("the coarse time is %v behind at a tick", time.Duration(lag))
			}
		}
	})
}

// What never expires needs no clock: reading it keeps one that ticks alive, but starts none.
func TestReadingWhatNeverExpiresDoesNotArm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		for range 10 {
			if !alive(c, Never) {
				t.Fatal("what never expires has expired")
			}
			time.Sleep(Grain)
		}
		if !resting(c) || armed(c) {
			t.Error("reading what never expires has armed the clock")
		}
	})
}

func TestBeforeIsStrict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		time.Sleep(time.Second)
		now := c.Exact()
		if c.Before(now) || !c.Before(now+1) {
			t.Errorf("at a tick, Before(now), Before(now+1) = %v, %v; want false, true", c.Before(now), c.Before(now+1))
		}
	})
}

func TestBoundariesAreExact(t *testing.T) {
	lives := []time.Duration{1, Grain - 1, Grain, Grain + 1, Slack - 1, Slack, Slack + 1, Slack + Grain, time.Second, 24 * time.Hour}
	for _, life := range lives {
		for _, reads := range []int{0, 1, 7, 100} { // on the way, so that the clock ticks or rests
			synctest.Test(t, func(t *testing.T) {
				c := New()
				time.Sleep(12345678)
				expiry := c.Now() + int64(life)
				for range reads {
					if !alive(c, expiry) {
						t.Fatalf("life %v: dead %v too early", life, time.Duration(expiry-c.Now()))
					}
					time.Sleep(time.Duration(expiry-c.Now()) / 3)
				}
				time.Sleep(time.Duration(expiry-c.Now()) - 1)
				if !alive(c, expiry) {
					t.Fatalf("life %v: dead a nanosecond too early", life)
				}
				time.Sleep(1 * time.Nanosecond)
				if alive(c, expiry) {
					t.Fatalf("life %v: alive at its expiry", life)
				}
			})
		}
	}
}

// A tick that is late by as much as Slack leaves room for is no harm.
func TestALateTickIsNotTrustedTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		use(c)
		if !c.timer.Stop() { // stands for a timer that the machine is too busy to run
			t.Fatal("not armed")
		}
		tick := c.Now()
		time.Sleep(Slack - 1)
		for expiry := tick; expiry < tick+2*int64(Slack); expiry += int64(time.Millisecond) {
			if c.Before(Sure(expiry)) && c.Now() >= expiry {
				t.Errorf("%v after the last tick: certainly alive, though dead for %v", Slack-1, time.Duration(c.Now()-expiry))
			}
		}
		if !c.Before(Sure(c.Now() + int64(Slack))) {
			t.Error("not certainly alive, though a tick that late still says so")
		}
	})
}

func TestAStoppedClockStaysExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]*Clock{"unused": New(), "used": New()} {
			if name == "used" {
				use(c)
			}
			c.Stop()
			c.Stop()
			expiry := c.Now() + int64(time.Second)
			if !alive(c, expiry) || c.Before(Sure(expiry)) {
				t.Errorf("%s: a stopped clock does not take the exact way", name)
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

// A tick may have begun when Stop is called.
func TestATickAfterStopDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		use(c)
		c.Stop()
		c.tick()
		if !resting(c) || armed(c) {
			t.Error("a tick that came after Stop has armed the clock")
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
			t.Errorf("Expiry(Sure(%d)) = %d", expiry, got)
		}
	}
	if Sure(Never) != Never {
		t.Errorf("Sure(Never) = %d; want Never", Sure(Never))
	}
	if Slack < 2*Grain {
		t.Errorf("Slack = %v; even a tick on time is a Grain old, and another may be due: want 2×%v", Slack, Grain)
	}
}

// A clock that has come to rest holds nothing and is held by nothing.
func TestAClockAtRestIsGarbage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		use(c)
		time.Sleep(time.Second)
		w := weak.Make(c)
		runtime.KeepAlive(c)
		c = nil //nolint:ineffassign // nobody holds it any more
		runtime.GC()
		if w.Value() != nil {
			t.Error("a clock that nobody uses is kept alive")
		}
	})
}

// The law: what is said to be certainly alive is alive, whoever read what before, and whenever. And the clock is worth
// having: what was read within the last grain, and is far from its end, is certainly alive.
func TestCertainlyAliveIsAlive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			clocks := []*Clock{New()}
			used := map[*Clock]int64{} // when last
			pick := func(t *rapid.T) *Clock { return rapid.SampledFrom(clocks).Draw(t, "clock") }
			t.Repeat(map[string]func(*rapid.T){
				"new": func(t *rapid.T) {
					if len(clocks) == 3 {
						t.Skip("enough")
					}
					clocks = append(clocks, New())
				},
				"sleep": func(t *rapid.T) { time.Sleep(someTime(t)) },
				"tickAtOnce": func(*rapid.T) {
					time.Sleep(Grain)
					synctest.Wait()
				},
				"exact": func(t *rapid.T) {
					c := pick(t)
					before, exact := c.Now(), c.Exact()
					if before != exact {
						t.Fatalf("Exact() = %d; want %d", exact, before)
					}
					used[c] = exact
				},
				"read": func(t *rapid.T) {
					c := pick(t)
					now := c.Now()
					expiry := now + int64(someTime(t)) - int64(Slack)
					sure := c.Before(Sure(expiry))
					if sure && now >= expiry-int64(Slack)+int64(Grain) {
						t.Fatalf("certainly alive %v before the end, by a tick that is more than a grain old", time.Duration(expiry-now))
					}
					last, ok := used[c]
					if !sure && ok && now-last < int64(Grain) && expiry-now > int64(Slack+Grain) {
						t.Fatalf("not certainly alive %v before the end, %v after the last use", time.Duration(expiry-now), time.Duration(now-last))
					}
					if sure {
						used[c] = now
					}
				},
				"": func(t *rapid.T) {
					for _, c := range clocks {
						if now := c.now.Load(); now != atRest && (now > c.Now() || c.Now()-now > int64(Grain)) {
							t.Fatalf("the coarse time is %d at %d", now, c.Now())
						}
					}
				},
			})
		})
	})
}

// someTime draws durations around those that matter.
func someTime(t *rapid.T) time.Duration {
	around := rapid.SampledFrom([]time.Duration{0, Grain, 2 * Grain, Slack - Grain, Slack, Slack + Grain, 2 * Slack, time.Hour}).Draw(t, "around")
	off := rapid.SampledFrom([]time.Duration{-1, 0, 1, time.Millisecond, Grain / 2}).Draw(t, "off")
	return max(1, around+off)
}

// Many readers at once, each at its own pace, in a time that stands still while they run: boundaries stay exact.
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
						t.Errorf("alive = %v, %v before the end", ok, time.Duration(expiry-before))
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
