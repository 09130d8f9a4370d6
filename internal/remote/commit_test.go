package remote

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/record"
)

// fetched returns a Fetch whose function has been called.
func fetched(t *testing.T, c *Client, o *owner, changes ...func(*Fetch)) *Fetch {
	t.Helper()
	f := newFetch(c, o, changes...)
	if !f.Acquire() {
		t.Fatalf("Acquire = false (%v)", f.Err)
	}
	t.Cleanup(f.Close)
	f.Watch()
	return f
}

// withTags makes the loader one whose entries have the tags, and maybe others.
func withTags(late bool, names ...string) func(*Config) {
	return func(cfg *Config) { cfg.Tags, cfg.LateTags = names, late }
}

// deleteTags deletes tags for another process.
func deleteTags(t *testing.T, s *fakeStore, names ...string) {
	t.Helper()
	c := New(Config{Store: bareStore{s.Store}, Names: newNames(), Timeout: time.Second, Report: func(context.Context, error) {}})
	if err := c.DeleteTags(t.Context(), names, func([]string) {}); err != nil {
		t.Fatal(err)
	}
}

func TestTagDeletedBeforeTheSealIsNoticedAfterIt(t *testing.T) {
	for name, tags := range map[string]func(*Config){
		"OwnTag":  withTags(false, "static"),
		"LateTag": withTags(true),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// A Get that begins after DeleteTags has returned may join the flight until it is
				// sealed. The tags have to be compared after that.
				s, o := newStore(t), &owner{}
				c := newClient(t, s, tags)
				o.seal = func() bool {
					deleteTags(t, s, "static")
					return true
				}
				f := fetched(t, c, o)
				joined := c.Now() // a Get joins before the deletion has returned, another after it
				r := storable("old")
				fate := f.Commit(r)
				if fate != NotStored || r.Verdict != StaleTags || s.stored(t) != "-" {
					t.Errorf("Commit = %v, verdict %v, the store has %q; want NotStored, StaleTags and nothing",
						fate, r.Verdict, s.stored(t))
				}
				if got := restricted(t, f.Outcome(nil)); got.Before >= joined {
					t.Errorf("the outcome is for a Get that joined after the function was called")
				}
			})
		})
	}
}

func TestRecordOfATagDeletedAfterTheSealIsInvalid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s, withTags(false, "static"))
		f := fetched(t, c, &owner{})
		s.setBefore(func(_ context.Context, op, _ string) error {
			if op == "Commit" {
				deleteTags(t, s, "static")
			}
			return nil
		})
		fate := f.Commit(storable("old", BlankTags([]string{"static"})...))
		b := c.NewBudget()
		if e, err := c.Read(t.Context(), &b, key); fate != Stored || err != nil || !e.Invalid {
			t.Errorf("Commit = %v, Read = %+v, %v; want Stored and an invalid entry", fate, e, err)
		}
	})
}

func TestCommitOutcomes(t *testing.T) {
	forced := func(f *Fetch) { f.Force = true }
	tests := map[string]struct {
		owner   owner
		fetch   func(*Fetch)
		before  func(t *testing.T, s *fakeStore) // comes before Commit
		verdict Verdict
		want    Fate
		stored  string
		open    bool // the outcome is for everyone
		publish int
	}{
		"Stored":           {want: Stored, stored: "new", open: true},
		"Forced":           {fetch: forced, want: Stored, stored: "new", open: true, publish: 1},
		"Skipped":          {verdict: Skip, want: Tombstone, stored: "-", open: true},
		"SkippedByForce":   {verdict: Skip, fetch: forced, want: Tombstone, stored: "-", open: true, publish: 1},
		"Unfit":            {verdict: Unfit, want: NotStored, stored: "old"},
		"UnfitByForce":     {verdict: Unfit, fetch: forced, want: Tombstone, stored: "-", open: true, publish: 1},
		"DiscardedHere":    {owner: owner{seal: func() bool { return false }}, want: Revoked, stored: "old"},
		"WrittenElsewhere": {before: func(t *testing.T, s *fakeStore) { s.put(t, value("other")) }, want: Revoked, stored: "other"},
		"NoAnswer":         {before: func(_ *testing.T, s *fakeStore) { s.fail("Commit") }, want: NotStored, stored: "old"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, o := newStore(t), &tt.owner
				version := s.put(t, value("old"))
				fetch := tt.fetch
				if fetch == nil {
					fetch = func(f *Fetch) { f.Seen = version }
				}
				f := fetched(t, newClient(t, s), o, fetch)
				if tt.before != nil {
					tt.before(t, s)
				}
				r := storable("new")
				r.Verdict = tt.verdict
				if fate := f.Commit(r); fate != tt.want || s.stored(t) != tt.stored || s.count("Publish") != tt.publish {
					t.Errorf("Commit = %v, the store has %q, %d times published; want %v, %q, %d",
						fate, s.stored(t), s.count("Publish"), tt.want, tt.stored, tt.publish)
				}
				if err := f.Outcome(nil); (err == nil) != tt.open {
					t.Errorf("the outcome is %v; want it for everyone: %v", err, tt.open)
				}
				if faults := len(o.failed); faults != 0 && name != "NoAnswer" || faults == 0 && name == "NoAnswer" {
					t.Errorf("the owner was told of %v", o.failed)
				}
			})
		})
	}
}

// What is put into memory lives from then on. That is before the life of the record begins, and
// not before the fetch.
func TestCommitNotesTheTimeBeforeItIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		f := fetched(t, c, &owner{})
		time.Sleep(time.Second)
		start := c.Clock.Now()
		s.setBefore(func(_ context.Context, op, _ string) error {
			if op == "Commit" {
				time.Sleep(time.Second / 4)
			}
			return nil
		})
		if fate := f.Commit(storable("new")); fate != Stored || f.Sent != start {
			t.Errorf("Commit = %v, Sent = %d; want Stored, %d", fate, f.Sent, start)
		}
	})
}

func TestSkippedResultTellsOthersNotToWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		fetched(t, c, &owner{}).Commit(&Result{Verdict: Skip})
		f := newFetch(c, &owner{})
		if !f.Acquire() || f.leased {
			t.Errorf("Acquire after a tombstone = false (%v), or leased = %v", f.Err, f.leased)
		}
		f.Close()
		time.Sleep(firstGrant)
		if f := fetched(t, c, &owner{}); !f.leased {
			t.Errorf("the tombstone lives longer than %v", firstGrant)
		}
	})
}

func TestFaultOfTheTagsKeepsAResultFromBeingStored(t *testing.T) {
	for name, when := range map[string]func(*fakeStore, *Fetch){
		"BeforeTheFunction": func(s *fakeStore, f *Fetch) {
			s.fail("EnsureMany")
			f.Watch()
			s.heal()
		},
		"AfterTheFunction": func(s *fakeStore, f *Fetch) {
			f.Watch()
			s.fail("EnsureMany")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				f := newFetch(newClient(t, s, withTags(false, "static")), &owner{})
				f.Acquire()
				when(s, f)
				if fate := f.Commit(storable("new")); fate != NotStored || s.stored(t) != "-" {
					t.Errorf("Commit = %v, the store has %q; want NotStored", fate, s.stored(t))
				}
				if bad, ok := errors.AsType[*OpError](f.Fault); !ok || bad.Op != "EnsureMany" {
					t.Errorf("Fault = %v; want one of EnsureMany", f.Fault)
				}
				restricted(t, f.Outcome(nil))
				f.Close()
			})
		})
	}
}

func TestCommitInABareStore(t *testing.T) {
	tests := map[string]struct {
		seen    bool
		other   bool // another process has stored a value since
		verdict Verdict
		want    Fate
		stored  string
		cmds    []string
	}{
		"Absent":         {want: Stored, stored: "new", cmds: []string{"Add"}},
		"Overtaken":      {other: true, want: Revoked, stored: "other", cmds: []string{"Add"}},
		"Seen":           {seen: true, want: Stored, stored: "new", cmds: []string{"Set"}},
		"Skipped":        {verdict: Skip, want: Tombstone, stored: "-"},
		"SkippedAndSeen": {verdict: Skip, seen: true, want: Tombstone, stored: "-", cmds: []string{"Delete"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				f := newFetch(newClient(t, s, bare(s)), &owner{})
				if tt.seen {
					f.Seen = s.put(t, value("old"))
				}
				f.Acquire()
				f.Watch()
				if tt.other {
					s.put(t, value("other"))
				}
				r := storable("new")
				r.Verdict = tt.verdict
				fate := f.Commit(r)
				if fate != tt.want || s.stored(t) != tt.stored || s.total() != s.count(tt.cmds...) || s.total() != len(tt.cmds) {
					t.Errorf("Commit = %v, the store has %q, %d commands; want %v, %q, %v",
						fate, s.stored(t), s.total(), tt.want, tt.stored, tt.cmds)
				}
				f.Close()
			})
		})
	}
}

func TestErrorIsRememberedOnlyWhereTheKeyHoldsNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Fetch)
		want   bool
	}{
		"Absent": {func(*Fetch) {}, true},
		"Forced": {func(f *Fetch) { f.Force = true }, false},
		"Seen":   {func(f *Fetch) { f.Seen = "1" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				c := newClient(t, s, func(cfg *Config) { cfg.Remembers = true })
				f := fetched(t, c, &owner{}, tt.change)
				if f.RemembersForAll() {
					f.Remember("boom", c.Clock.Now(), time.Minute)
				}
				f.Close()
				synctest.Wait()
				claim, err := s.Store.Acquire(t.Context(), key, driver.Ask{Token: "another---------", Lease: time.Second})
				if err != nil {
					t.Fatal(err)
				}
				var rec record.Record
				got := claim.State == driver.Hit && record.Parse(claim.Record.Data, &rec) == nil &&
					rec.Kind == record.Failed && string(rec.Payload) == "boom"
				if got != tt.want {
					t.Errorf("remembered: %v (%+v); want %v", got, claim, tt.want)
				}
			})
		})
	}
}

func TestForcedFetchThatIsNotStoredLeavesNothingOlder(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Config)
		before func(t *testing.T, s *fakeStore, f *Fetch) // comes before Commit
		stays  bool
	}{
		"WrittenElsewhere": {before: func(t *testing.T, s *fakeStore, _ *Fetch) { s.put(t, value("older")) }},
		"DiscardedHere": {before: func(t *testing.T, s *fakeStore, f *Fetch) {
			s.put(t, value("older"))
			f.Owner.(*owner).seal = func() bool { return false }
		}},
		"StoppedForLongerThanItsLease": {before: func(_ *testing.T, s *fakeStore, _ *Fetch) {
			s.fail("Renew")
			time.Sleep(firstGrant)
		}},
		"CommitFails":   {before: func(_ *testing.T, s *fakeStore, _ *Fetch) { s.fail("Commit") }},
		"CommitHangs":   {before: func(_ *testing.T, s *fakeStore, _ *Fetch) { hang(s, "Commit") }},
		"AcquireFailed": {before: func(_ *testing.T, _ *fakeStore, f *Fetch) { f.down = true }},
		"NoLease":       {before: func(_ *testing.T, _ *fakeStore, f *Fetch) { f.noLease = true }},
		"Bare": {
			change: func(cfg *Config) { cfg.Store = bareStore{cfg.Store} },
			before: func(_ *testing.T, s *fakeStore, _ *Fetch) { s.fail("Set") },
		},
		"GivenUp": {before: func(t *testing.T, s *fakeStore, f *Fetch) {
			s.put(t, value("older"))
			ctx, leave := context.WithCancel(t.Context())
			leave()
			f.Ctx = ctx
		}, stays: true},
	} {
		for suffix, force := range map[string]bool{"": true, "/NotForced": false} {
			t.Run(name+suffix, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, o := newStore(t), &owner{}
					version := s.put(t, value("older"))
					change := tt.change
					if change == nil {
						change = func(*Config) {}
					}
					f := fetched(t, newClient(t, s, change), o, func(f *Fetch) {
						if f.Force = force; !force {
							f.Seen = version
						}
					})
					tt.before(t, s, f)
					start := time.Now()
					fate := f.Commit(storable("new"))
					stays := !force || tt.stays
					if (s.stored(t) == "older") != stays || fate == Stored || (o.forgets > 0) == stays {
						t.Errorf("Commit = %v, the store has %q, memory was emptied %d times", fate, s.stored(t), o.forgets)
					}
					if s.heal(); force && !tt.stays && s.count("Delete") != 1 {
						t.Errorf("%d Deletes; want 1", s.count("Delete"))
					}
					if d := time.Since(start); d > 2*f.Client.Timeout {
						t.Errorf("it took %v", d)
					}
					if n := s.count("Publish"); (n > 0) == stays && name != "Bare" {
						t.Errorf("published %d times", n)
					}
				})
			})
		}
	}
}

// hang makes the commands of op wait for the end of their context.
func hang(s *fakeStore, op string) {
	s.setBefore(func(ctx context.Context, is, _ string) error {
		if is != op {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	})
}

func TestLateCommitOfAForcedFetchIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		f := fetched(t, c, &owner{}, func(f *Fetch) { f.Force = true })
		f.lease.mu.Lock()
		token := f.lease.token
		f.lease.mu.Unlock()
		hang(s, "Commit")
		f.Commit(storable("new"))
		s.heal()
		if ok, err := s.Store.Commit(t.Context(), key, token, value("new")); ok || err != nil || s.stored(t) != "-" {
			t.Errorf("a late copy of the commit = %v, %v, the store has %q; want false, and nothing", ok, err, s.stored(t))
		}
	})
}
