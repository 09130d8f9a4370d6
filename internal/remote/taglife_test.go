package remote

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/record"
)

// The law: whatever is written expires, and while an entry lives, the generations it carries do.
//
// left returns how long the record under a key lives; 0 = there is none.
func left(t *testing.T, s *fakeStore, key string) time.Duration {
	t.Helper()
	r, err := s.Store.Get(t.Context(), key)
	if err != nil && !errors.Is(err, driver.ErrMiss) {
		t.Fatal(err)
	}
	return r.TTL
}

// fetchFor stores the result of a fetch, which took a while, for life.
func fetchFor(t *testing.T, c *Client, took, life time.Duration, tags ...string) Fate {
	t.Helper()
	b := c.NewBudget()
	e, err := c.Read(t.Context(), &b, key)
	if !errors.Is(err, driver.ErrMiss) {
		t.Fatalf("Read = %+v, %v; want a miss", e, err)
	}
	f := fetched(t, c, &owner{}, func(f *Fetch) { f.Tags = e.Watch })
	time.Sleep(took)
	r := storable("1", BlankTags(tags)...)
	r.Life = life
	fate := f.Commit(r)
	f.Close()
	return fate
}

func TestEntriesOfOneSecondLeaveNoTagsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, names := newStore(t), newNames()
		c := newClient(t, s, withTags(true, "own"))
		b := c.NewBudget()
		for i := range 200 {
			if _, err := c.RecordTags(t.Context(), &b, nil, []string{fmt.Sprint("set", i)}, time.Second); err != nil {
				t.Fatal(err)
			}
			if fate := fetchFor(t, c, time.Second, time.Second, "own", fmt.Sprint("fetched", i)); fate != Stored {
				t.Fatalf("Commit = %v; want Stored", fate)
			}
			time.Sleep(2 * time.Second)
		}
		time.Sleep(2 * tagMargin)
		for i := range 200 {
			for _, name := range []string{fmt.Sprint("set", i), fmt.Sprint("fetched", i)} {
				if d := left(t, s, names.Tag(name)); d != 0 {
					t.Fatalf("the tag %s lives for %v", name, d)
				}
			}
		}
		time.Sleep(2 * watchedLife)
		for _, key := range []string{names.Tag("own"), names.Epoch()} {
			if d := left(t, s, key); d != 0 {
				t.Errorf("%s lives for %v", key, d)
			}
		}
	})
}

func TestGenerationsLiveAsLongAsTheEntry(t *testing.T) {
	for _, life := range []time.Duration{time.Millisecond, time.Second, time.Hour, 90 * 24 * time.Hour} {
		t.Run(life.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				c := newClient(t, s, withTags(true, "own"))
				for range 5 { // every second one finds a generation that has been renewed
					if fate := fetchFor(t, c, 0, life, "own", "late"); fate != Stored {
						t.Fatalf("Commit = %v; want Stored", fate)
					}
					time.Sleep(life - 1)
					b := c.NewBudget()
					if e, err := c.Read(t.Context(), &b, key); err != nil || e.Invalid {
						t.Fatalf("Read just before the end = %+v, %v; want a valid entry", e, err)
					}
					time.Sleep(2 * time.Nanosecond)
				}
			})
		})
	}
}

// A generation made for a short entry must not end a long one.
func TestGenerationOfAnotherProcessIsRenewedForALongerEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		a, b := newClient(t, s, withTags(true)), newClient(t, s, withTags(true))
		if fate := fetchFor(t, a, 0, time.Hour, "late"); fate != Stored {
			t.Fatalf("Commit = %v; want Stored", fate)
		}
		if err := b.DeleteTags(t.Context(), []string{"late"}, func([]string) {}); err != nil {
			t.Fatal(err)
		}
		s.Store.Delete(t.Context(), key)
		if fate := fetchFor(t, b, 0, time.Second, "late"); fate != Stored {
			t.Fatalf("Commit = %v; want Stored", fate)
		}
		s.Store.Delete(t.Context(), key)
		if fate := fetchFor(t, a, 0, time.Hour, "late"); fate != Stored { // a thinks that it lives for an hour
			t.Fatalf("Commit = %v; want Stored", fate)
		}
		time.Sleep(time.Hour - time.Second)
		budget := a.NewBudget()
		if e, err := b.Read(t.Context(), &budget, key); err != nil || e.Invalid {
			t.Errorf("Read after nearly an hour = %+v, %v; want a valid entry", e, err)
		}
	})
}

func TestTouchAndUseLengthenTheLivesOfTags(t *testing.T) {
	for name, lengthen := range map[string]func(t *testing.T, c *Client, e *Entry){
		"Touch": func(t *testing.T, c *Client, e *Entry) {
			if ok, err := newWrite(c, &writeOwner{}, driver.Record{}).Touch(t.Context(), e, time.Hour, 0); !ok || err != nil {
				t.Errorf("Touch = %v, %v", ok, err)
			}
		},
		"Use": func(t *testing.T, c *Client, e *Entry) { c.ExpireLater(t.Context(), key, e.Parsed.Tags, time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				c := newClient(t, s, withTags(true))
				fetchFor(t, c, 0, time.Second, "late")
				b := c.NewBudget()
				e, err := c.ReadLeft(t.Context(), &b, key)
				if err != nil {
					t.Fatal(err)
				}
				lengthen(t, c, &e)
				time.Sleep(time.Hour - time.Second)
				if e, err := c.Read(t.Context(), &b, key); err != nil || e.Invalid {
					t.Errorf("Read after nearly an hour = %+v, %v; want a valid entry", e, err)
				}
			})
		})
	}
}

// An entry that never expires stays valid while it is read, and its tags expire if it is not.
func TestTagsOfAnEntryThatLivesForEverLiveWhileItIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, names := newStore(t), newNames()
		c := newClient(t, s, withTags(true))
		if fate := fetchFor(t, c, 0, driver.Forever, "late"); fate != Stored {
			t.Fatalf("Commit = %v; want Stored", fate)
		}
		for month := range 60 {
			time.Sleep(30 * 24 * time.Hour)
			b := c.NewBudget()
			e, err := c.Read(t.Context(), &b, key)
			if many, errMany := c.ReadMany(t.Context(), &b, []string{key}); month > 30 && errMany == nil {
				e = many.Entry(0)
			}
			if err != nil || e.Invalid {
				t.Fatalf("Read after %d months = %+v, %v; want a valid entry", month+1, e, err)
			}
			synctest.Wait()
			if d := left(t, s, names.Tag("late")); d == driver.Forever || d > 2*longestNeed {
				t.Fatalf("the tag lives for %v", d)
			}
		}
		time.Sleep(2 * longestNeed)
		if d := left(t, s, names.Tag("late")); d != 0 {
			t.Errorf("the tag of an entry that nobody reads lives for %v", d)
		}
	})
}

// A fetch that outlasts the epoch stores nothing. The next one does.
func TestFetchThatTheEpochEndsInIsNotStoredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, names := newStore(t), newNames()
		c := newClient(t, s, withTags(true))
		fetchFor(t, c, 0, time.Minute, "late")
		time.Sleep(left(t, s, names.Epoch()) - time.Minute)
		if fate := fetchFor(t, c, time.Hour, time.Minute, "late"); fate != NotStored {
			t.Errorf("Commit = %v; want NotStored", fate)
		}
		for range 3 {
			if fate := fetchFor(t, c, time.Hour, time.Minute, "late"); fate != Stored {
				t.Errorf("Commit = %v; want Stored", fate)
			}
			time.Sleep(time.Hour)
		}
	})
}

// A deletion is seen whether or not the tag's generation has ended before it: neither a late copy of
// Delete nor an Add that is carried out late makes an entry valid.
func TestDeleteTagsOfAGenerationThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, names := newStore(t), newNames()
		c := newClient(t, s, withTags(true))
		s.put(t, value("old", record.Tag{Name: "late", Gen: "ended"}))
		if err := c.DeleteTags(t.Context(), []string{"late"}, func([]string) {}); err != nil {
			t.Fatal(err)
		}
		late := driver.Record{Data: []byte(newGeneration()), TTL: time.Hour} // of a process that had no answer
		for _, arrives := range []func(){
			func() {},
			func() { s.Store.Add(t.Context(), names.Tag("late"), late) },
			func() { s.Store.Expire(t.Context(), names.Tag("late"), time.Hour) },
			func() { s.Store.Delete(t.Context(), names.Tag("late")) },
		} {
			arrives()
			b := c.NewBudget()
			if e, err := c.Read(t.Context(), &b, key); err != nil || !e.Invalid {
				t.Errorf("Read = %+v, %v; want an invalid entry", e, err)
			}
		}
	})
}

func TestWhatIsKnownOfTagsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e tagEnds
		for i := range 3 * maxTagEnds {
			e.note(fmt.Sprint(i), time.Now().Add(time.Minute))
			if i == maxTagEnds {
				time.Sleep(2 * time.Minute)
			}
		}
		if n := len(e.ends); n > maxTagEnds {
			t.Errorf("%d ends are known; want at most %d", n, maxTagEnds)
		}
		if e.note("kept", time.Now().Add(time.Minute)); !e.reach("kept", time.Now().Add(time.Minute)) || e.reach("kept", time.Now().Add(time.Hour)) {
			t.Error("a known end is not known")
		}
		if e.forget("kept"); e.reach("kept", time.Now()) {
			t.Error("a forgotten end is known")
		}
	})
}

// What a read has noted of tags saves a command before the fetch. It does so only as long as a value
// made now could be stored by it.
func TestTagsAreReadAnewIfTheyMayHaveChangedSinceTheRead(t *testing.T) {
	for name, tt := range map[string]struct {
		meanwhile func(t *testing.T, s *fakeStore, c *Client)
		want      int
	}{
		"Nothing": {func(*testing.T, *fakeStore, *Client) {}, 1},
		"DeleteTagsHere": {func(t *testing.T, _ *fakeStore, c *Client) {
			c.DeleteTags(t.Context(), []string{"own"}, func([]string) { c.Space.Delete("own") })
		}, 2},
		"AFetchElsewhere": {func(t *testing.T, s *fakeStore, _ *Client) {
			s.hold(t, "other", 50*time.Millisecond)
			time.AfterFunc(20*time.Millisecond, func() { deleteTags(t, s, "own") })
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				c := newClient(t, s, withTags(true, "own"))
				b := c.NewBudget()
				c.watchTags(t.Context(), &b, nil)
				e, _ := c.Read(t.Context(), &b, key)
				tt.meanwhile(t, s, c)
				before := s.count("EnsureMany")
				f := fetched(t, c, &owner{}, func(f *Fetch) { f.Tags = e.Watch })
				if fate := f.Commit(storable("1", BlankTags([]string{"own"})...)); fate != Stored {
					t.Errorf("Commit = %v; want Stored", fate)
				}
				if n := s.count("EnsureMany") - before; n < tt.want || tt.want == 1 && n > 1 {
					t.Errorf("%d commands about tags; want %d", n, tt.want)
				}
			})
		})
	}
}

// A command is a round trip. The first miss of all takes one more with tags: they have to be there
// before the fetch.
func TestRoundTrips(t *testing.T) {
	for _, tt := range []struct {
		name       string
		tags       func(*Config)
		record     []string
		cold, miss string // the commands of a miss: the first of all, and of the ones after
		hit        string
		refresh    string
		update     string
	}{
		{"NoTags", withTags(false), nil, "Get Acquire Commit", "Get Acquire Commit", "Get", "Acquire Commit", "Acquire Get Commit"},
		{
			"StaticTags", withTags(false, "a", "b"),
			[]string{"a", "b"},
			"GetMany Acquire EnsureMany EnsureMany Commit", "GetMany Acquire EnsureMany Commit", "GetMany",
			"Acquire EnsureMany EnsureMany Commit", "Acquire GetMany Commit",
		},
		{
			"LateTags", withTags(true),
			[]string{"x", "y"},
			"GetMany Acquire EnsureMany EnsureMany Commit", "GetMany Acquire EnsureMany Commit", "GetMany GetMany",
			"Acquire EnsureMany EnsureMany Commit", "Acquire GetMany GetMany EnsureMany Commit",
		},
		{
			"Both", withTags(true, "a"),
			[]string{"a", "x"},
			"GetMany Acquire EnsureMany EnsureMany Commit", "GetMany Acquire EnsureMany Commit", "GetMany GetMany",
			"Acquire EnsureMany EnsureMany Commit", "Acquire GetMany GetMany EnsureMany Commit",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				c := newClient(t, s, tt.tags)
				want := func(what, want string, call func()) {
					t.Helper()
					s.mu.Lock()
					s.sent = nil
					s.mu.Unlock()
					call()
					synctest.Wait()
					var ops []string
					s.mu.Lock()
					defer s.mu.Unlock()
					for _, cmd := range s.sent {
						if cmd.op != "Publish" { // after the write, to those with memory in front
							ops = append(ops, cmd.op)
						}
					}
					if got := strings.Join(ops, " "); got != want {
						t.Errorf("%s: %s; want %s", what, got, want)
					}
				}
				miss := func() {
					if fate := fetchFor(t, c, 0, time.Hour, tt.record...); fate != Stored {
						t.Errorf("Commit = %v; want Stored", fate)
					}
				}
				want("the first miss", tt.cold, miss)
				want("a hit", tt.hit, func() {
					b := c.NewBudget()
					if e, err := c.Read(t.Context(), &b, key); err != nil || e.Invalid {
						t.Errorf("Read = %+v, %v", e, err)
					}
				})
				s.Store.Delete(t.Context(), key)
				want("a miss", tt.miss, miss)
				want("a refresh", tt.refresh, func() {
					f := fetched(t, c, &owner{}, func(f *Fetch) { f.Force = true })
					r := storable("2", BlankTags(tt.record)...)
					f.Commit(r)
				})
				want("an update", tt.update, func() {
					w := newWrite(c, &writeOwner{}, value("3"))
					snap, err := w.Snapshot(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					defer snap.Close()
					if ok, err := snap.Replace(t.Context()); !ok || err != nil {
						t.Errorf("Replace = %v, %v", ok, err)
					}
				})
				s.Store.Delete(t.Context(), key)
				deleteTags(t, s, "a", "x") // of another process
				time.Sleep(2 * time.Hour)
				c.DeleteTags(t.Context(), []string{"b", "y"}, func([]string) {})
				want("a miss after the tags were deleted", tt.miss, miss)
			})
		})
	}
}
