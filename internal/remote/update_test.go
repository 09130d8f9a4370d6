package remote

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/record"
)

func TestReplaceRefusesWhatWasOvertaken(t *testing.T) {
	names := newNames()
	bareConfig := func(cfg *Config) { withTags(true, "own")(cfg); cfg.Store = bareStore{cfg.Store} }
	leaser := withTags(true, "own")
	for name, tt := range map[string]struct {
		cfg       func(*Config)
		remove    bool
		meanwhile func(t *testing.T, s *fakeStore)
		want      bool
		stored    string
	}{
		"Nothing":           {leaser, false, func(*testing.T, *fakeStore) {}, true, "new"},
		"NothingRemove":     {leaser, true, func(*testing.T, *fakeStore) {}, true, "-"},
		"LateTagDeleted":    {leaser, false, func(t *testing.T, s *fakeStore) { deleteTags(t, s, "late") }, false, "old"},
		"LateTagLost":       {leaser, false, func(t *testing.T, s *fakeStore) { s.Store.Delete(t.Context(), names.Tag("late")) }, false, "old"},
		"AnyTagDeleted":     {leaser, false, func(t *testing.T, s *fakeStore) { deleteTags(t, s, "another") }, false, "old"},
		"Written":           {leaser, false, func(t *testing.T, s *fakeStore) { s.put(t, value("other")) }, false, "other"},
		"Removed":           {leaser, false, func(t *testing.T, s *fakeStore) { s.Store.Delete(t.Context(), key) }, false, "-"},
		"LeaseTaken":        {leaser, false, func(t *testing.T, s *fakeStore) { s.hold(t, "another", time.Hour) }, false, "old"},
		"LeaseOverAtRemove": {leaser, true, func(_ *testing.T, s *fakeStore) { s.fail("Renew"); time.Sleep(firstGrant) }, false, "old"},
		"Bare":              {bareConfig, false, func(*testing.T, *fakeStore) {}, true, "new"},
		"BareRemove":        {bareConfig, true, func(*testing.T, *fakeStore) {}, true, "-"},
		"BareWritten":       {bareConfig, false, func(t *testing.T, s *fakeStore) { s.put(t, value("other")) }, false, "other"},
		"BareWrittenRemove": {bareConfig, true, func(t *testing.T, s *fakeStore) { s.put(t, value("other")) }, false, "other"},
		"BareRemoved":       {bareConfig, false, func(t *testing.T, s *fakeStore) { s.Store.Delete(t.Context(), key) }, false, "-"},
		"BareTagDeleted":    {bareConfig, false, func(t *testing.T, s *fakeStore) { deleteTags(t, s, "late") }, false, "old"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				generation(t, s, "late", "l1")
				generation(t, s, "own", "o1")
				s.put(t, value("old", record.Tag{Name: "late", Gen: "l1"}, record.Tag{Name: "own", Gen: "o1"}))
				dropped := false
				w := newWrite(newClient(t, s, tt.cfg), &writeOwner{drop: func() { dropped = true }}, value("new"))
				w.Remove = tt.remove
				snap, err := w.Snapshot(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer snap.Close()
				if !snap.Usable || string(snap.Entry.Parsed.Payload) != "old" {
					t.Fatalf("Snapshot = %+v", snap)
				}
				if want := (Generations{"late": "l1", "own": "o1"}); !maps.Equal(snap.Generations(), want) {
					t.Errorf("Generations = %v; want %v", snap.Generations(), want)
				}
				tt.meanwhile(t, s)
				committed, err := snap.Replace(t.Context())
				if committed != tt.want || err != nil || s.stored(t) != tt.stored || dropped != tt.want {
					t.Errorf("Replace = %v, %v, the store has %q, dropped: %v; want %v and %q",
						committed, err, s.stored(t), dropped, tt.want, tt.stored)
				}
			})
		})
	}
}

func TestReplaceInABareStoreAddsWhereNothingWas(t *testing.T) {
	for name, overtaken := range map[string]bool{"Alone": false, "Overtaken": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				snap, err := newWrite(newClient(t, s, bare(s)), &writeOwner{}, value("new")).Snapshot(t.Context())
				if err != nil || snap.Usable {
					t.Fatalf("Snapshot of an absent key = %+v, %v", snap, err)
				}
				want := "new"
				if overtaken {
					want = "other"
					s.put(t, value(want))
				}
				if committed, err := snap.Replace(t.Context()); committed == overtaken || err != nil || s.stored(t) != want {
					t.Errorf("Replace = %v, %v, the store has %q; want %v, %q", committed, err, s.stored(t), !overtaken, want)
				}
			})
		})
	}
}

func TestSnapshotTakesTheLeaseFromItsHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		f := fetched(t, c, &owner{})
		snap, err := newWrite(c, &writeOwner{}, value("new")).Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if fate := f.Commit(storable("fetched")); fate != Revoked {
			t.Errorf("Commit of the former holder = %v; want Revoked", fate)
		}
		snap.Close()
		synctest.Wait()
		if !free(t, s) {
			t.Error("Close has not given the lease back")
		}
	})
}

func TestSnapshotFails(t *testing.T) {
	for op, want := range map[string]string{"Acquire": "Acquire", "GetMany": "Get", "EnsureMany": "EnsureMany"} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				s.fail(op)
				snap, err := newWrite(newClient(t, s, withTags(false, "own")), &writeOwner{}, value("1")).Snapshot(t.Context())
				snap.Close()
				synctest.Wait()
				if bad, ok := errors.AsType[*OpError](err); !ok || bad.Op != want || s.count("Abort") != 1 {
					t.Errorf("Snapshot = %v, %d aborts; want an OpError of %s and 1", err, s.count("Abort"), want)
				}
			})
		})
	}
}

func TestKeepLeftEndsTheNewRecordWithTheOldOne(t *testing.T) {
	for name, life := range map[string]time.Duration{"Minute": time.Minute, "Forever": driver.Forever} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				c := newClient(t, s)
				r := value("old")
				r.TTL = life
				s.put(t, r)
				for range 3 {
					time.Sleep(time.Second)
					w := newWrite(c, &writeOwner{}, value("new"))
					snap, err := w.Snapshot(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Second / 2)
					snap.KeepLeft(c.Clock.Now())
					if left := w.Record.TTL; life != driver.Forever && left > life-1500*time.Millisecond {
						t.Errorf("the new record lives for %v", left)
					}
					if life == driver.Forever && w.Record.TTL != life ||
						w.Record.Version != snap.Entry.Record.Version {
						t.Errorf("the new record is %+v; want the old end and Version", w.Record)
					}
					if ok, err := snap.Replace(t.Context()); !ok || err != nil {
						t.Fatalf("Replace = %v, %v", ok, err)
					}
				}
				want := life
				if life != driver.Forever {
					want -= 4500 * time.Millisecond
				}
				if r, err := s.Store.Get(context.Background(), key); r.TTL != want {
					t.Errorf("after three updates %v are left (%v); want %v", r.TTL, err, want)
				}
			})
		})
	}
}

func TestReplaceDoesNothingIfTheTagsCannotBeRead(t *testing.T) {
	for _, op := range []string{"EnsureMany"} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				generation(t, s, "late", "l1")
				s.put(t, value("old", record.Tag{Name: "late", Gen: "l1"}))
				w := newWrite(newClient(t, s, withTags(true)), &writeOwner{}, value("new"))
				snap, err := w.Snapshot(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer snap.Close()
				s.fail(op)
				committed, err := snap.Replace(t.Context())
				if bad, ok := errors.AsType[*OpError](err); !ok || bad.Op != "EnsureMany" ||
					committed || s.stored(t) != "old" {
					t.Errorf("Replace = %v, %v, the store has %q; want an OpError of EnsureMany, and the old value",
						committed, err, s.stored(t))
				}
			})
		})
	}
}

// The record has the generations from before the read, so it is as invalid as the one before.
func TestReplaceAsksForNoTagsOfTheLoadersOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		generation(t, s, "own", "o1")
		s.put(t, value("old", record.Tag{Name: "own", Gen: "o1"}))
		c := newClient(t, s, withTags(false, "own"))
		w := newWrite(c, &writeOwner{}, value("new", record.Tag{Name: "own", Gen: "o1"}))
		snap, err := w.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer snap.Close()
		deleteTags(t, s, "own")
		sent := s.total()
		if committed, err := snap.Replace(t.Context()); !committed || err != nil ||
			s.total()-sent-s.count("Publish") != 1 {
			t.Errorf("Replace = %v, %v by %d commands; want true by a Commit alone",
				committed, err, s.total()-sent)
		}
		b := c.NewBudget()
		if e, err := c.Read(t.Context(), &b, key); err != nil || !e.Invalid {
			t.Errorf("Read = %+v, %v; want an invalid record", e, err)
		}
	})
}

func TestSnapshotReadsTheValueOnceMoreIfATagHadNoGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, names := newStore(t), newNames()
		generation(t, s, "own", "o1")
		s.put(t, value("old", record.Tag{Name: "own", Gen: "o1"}))
		s.Store.Delete(t.Context(), names.Tag("own"))
		var steps []string
		s.setBefore(func(_ context.Context, op, k string) error {
			switch {
			case op == "Acquire":
				steps = append(steps, "lease")
			case k == names.Tag("own") && op == "EnsureMany":
				steps = append(steps, "tags")
			case k == key:
				steps = append(steps, "value")
			}
			return nil
		})
		w := newWrite(newClient(t, s, withTags(false, "own")), &writeOwner{}, value("new"))
		w.Budget = Budget{} // that of an earlier attempt
		snap, err := w.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer snap.Close()
		if want := []string{"lease", "value", "tags", "value"}; !slices.Equal(steps, want) {
			t.Errorf("Snapshot by %v; want %v", steps, want)
		}
	})
}

func TestReplaceOfARecordOfNoUse(t *testing.T) {
	for name, cfg := range map[string]func(*Config){
		"Leaser": func(*Config) {}, "Bare": func(cfg *Config) { cfg.Store = bareStore{cfg.Store} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				s.put(t, value("old", record.Tag{Name: "lost", Gen: "1"}))
				w := newWrite(newClient(t, s, cfg), &writeOwner{}, value("new"))
				snap, err := w.Snapshot(t.Context())
				if err != nil || snap.Usable || len(snap.Generations()) != 0 {
					t.Fatalf("Snapshot = %+v, %v; want one that is not Usable, without tags",
						snap, err)
				}
				defer snap.Close()
				if committed, err := snap.Replace(t.Context()); !committed || err != nil ||
					s.stored(t) != "new" {
					t.Errorf("Replace = %v, %v, the store has %q; want true and the new value",
						committed, err, s.stored(t))
				}
			})
		})
	}
}

func TestKeepLeftOfARecordThatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		r := value("old")
		r.TTL = time.Second
		s.put(t, r)
		w := newWrite(c, &writeOwner{}, value("new"))
		snap, err := w.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer snap.Close()
		time.Sleep(2 * time.Second)
		if snap.KeepLeft(c.Clock.Now()); w.Record.TTL != time.Millisecond {
			t.Errorf("the new record lives for %v; want the least there is", w.Record.TTL)
		}
	})
}

func TestLeaseOfASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		s.setAfter(func(op, _ string) error {
			if op == "Acquire" {
				time.Sleep(time.Second / 10)
			}
			return nil
		})
		ctx, leave := context.WithCancel(t.Context())
		start := time.Now()
		snap, err := newWrite(c, &writeOwner{}, value("new")).Snapshot(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer snap.Close()
		if end := deadlineOf(snap.lease); !end.Equal(start.Add(firstGrant)) {
			t.Errorf("the lease ends %v after the ask; want %v", end.Sub(start), firstGrant)
		}
		leave()
		time.Sleep(3 * c.Lease) // it is renewed all the same
		if committed, err := snap.Replace(t.Context()); !committed || err != nil {
			t.Errorf("Replace = %v, %v; want true", committed, err)
		}
	})
}

func TestStoreThatRefusesAForcedAskIsAtFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.setClaim(func(c *driver.Claim) { c.State = driver.Busy })
		snap, err := newWrite(newClient(t, s), &writeOwner{}, value("new")).Snapshot(t.Context())
		snap.Close()
		if bad, ok := errors.AsType[*OpError](err); !ok || bad.Op != "Acquire" {
			t.Errorf("Snapshot = %v; want an OpError of Acquire", err)
		}
	})
}

func TestReplaceInABareStoreThatRemovesOrFails(t *testing.T) {
	for name, remove := range map[string]bool{"RemovesNothing": true, "Fails": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				if !remove {
					s.put(t, value("old"))
					s.fail("Set")
				}
				w := newWrite(newClient(t, s, bare(s)), &writeOwner{}, value("new"))
				w.Remove = remove
				snap, err := w.Snapshot(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				want := "-"
				if !remove {
					want = "old"
				}
				committed, err := snap.Replace(t.Context())
				if committed != remove || (err == nil) != remove || s.stored(t) != want {
					t.Errorf("Replace = %v, %v, the store has %q; want %v and %q",
						committed, err, s.stored(t), remove, want)
				}
			})
		})
	}
}
