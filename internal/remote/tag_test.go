package remote

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/record"
)

// generation gives a tag a generation.
func generation(t *testing.T, s *fakeStore, name, gen string) {
	t.Helper()
	names := newNames()
	if err := s.Store.Set(t.Context(), names.Tag(name), driver.Record{Data: []byte(gen), TTL: driver.Forever}); err != nil {
		t.Fatal(err)
	}
}

// generationOf returns the generation of a tag in the store, or "-".
func generationOf(t *testing.T, s *fakeStore, key string) string {
	t.Helper()
	r, err := s.Store.Get(t.Context(), key)
	if errors.Is(err, driver.ErrMiss) {
		return "-"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(r.Data)
}

func TestEntryIsInvalidOnceATagIsDeletedOrLost(t *testing.T) {
	names := newNames()
	for name, tt := range map[string]struct {
		change func(t *testing.T, s *fakeStore)
		want   bool
	}{
		"Nothing":         {func(*testing.T, *fakeStore) {}, false},
		"OwnDeleted":      {func(t *testing.T, s *fakeStore) { deleteTags(t, s, "own") }, true},
		"LateDeleted":     {func(t *testing.T, s *fakeStore) { deleteTags(t, s, "late") }, true},
		"AnotherDeleted":  {func(t *testing.T, s *fakeStore) { deleteTags(t, s, "another") }, false},
		"OwnLost":         {func(t *testing.T, s *fakeStore) { s.Store.Delete(t.Context(), names.Tag("own")) }, true},
		"LateLost":        {func(t *testing.T, s *fakeStore) { s.Store.Delete(t.Context(), names.Tag("late")) }, true},
		"WithoutOneSince": {func(t *testing.T, s *fakeStore) { s.put(t, value("1", record.Tag{Name: "late"})) }, true},
	} {
		for read, with := range map[string]func(ctx context.Context, c *Client, b *Budget) (Entry, error){
			"Read":     func(ctx context.Context, c *Client, b *Budget) (Entry, error) { return c.Read(ctx, b, key) },
			"ReadLeft": func(ctx context.Context, c *Client, b *Budget) (Entry, error) { return c.ReadLeft(ctx, b, key) },
			"ReadMany": func(ctx context.Context, c *Client, b *Budget) (Entry, error) {
				r, err := c.ReadMany(ctx, b, []string{key + "1", key})
				if err != nil || r.Has(0) || !r.Has(1) {
					return Entry{}, errors.Join(err, errors.New("Has is wrong"))
				}
				return r.Entry(1), err
			},
		} {
			t.Run(name+"/"+read, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newStore(t)
					c := newClient(t, s, withTags(true, "own"))
					generation(t, s, "own", "o1")
					generation(t, s, "late", "l1")
					generation(t, s, "another", "a1")
					s.put(t, value("1", record.Tag{Name: "late", Gen: "l1"}, record.Tag{Name: "own", Gen: "o1"}))
					tt.change(t, s)
					b := c.NewBudget()
					if e, err := with(t.Context(), c, &b); err != nil || e.Invalid != tt.want || string(e.Parsed.Payload) != "1" {
						t.Errorf("%s = %+v, %v; want Invalid = %v", read, e, err, tt.want)
					}
				})
			})
		}
	}
}

func TestDeleteTagsRemovesTheEpochFirstAndCreatesNoGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, names := newStore(t), newNames()
		c := newClient(t, s)
		generation(t, s, "known", "k1")
		if err := c.DeleteTags(t.Context(), []string{"unknown", "known"}, func([]string) {}); err != nil {
			t.Fatal(err)
		}
		var removed []string
		for _, cmd := range s.commands("Set", "Add", "EnsureMany", "Delete") {
			removed = append(removed, cmd.op+" "+cmd.key)
		}
		if want := []string{"Delete " + names.Epoch(), "Delete " + names.Tag("unknown")}; !slices.Equal(removed, want) {
			t.Errorf("DeleteTags has sent %q; want %q", removed, want)
		}
		for _, name := range []string{"unknown", "known"} {
			if g := generationOf(t, s, names.Tag(name)); g != "-" {
				t.Errorf("the generation of %s is %q; want none", name, g)
			}
		}
	})
}

// A fetch that begins after DeleteTags need not spend a round trip on the tags of all entries.
func TestDeleteTagsLeavesTheEpochAndTheLoadersOwnTagsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, names := newStore(t), newNames()
		c := newClient(t, s, withTags(true, "own"))
		generation(t, s, "own", "o1")
		for _, fails := range []bool{false, true} {
			if fails {
				s.fail("EnsureMany")
			}
			if err := c.DeleteTags(t.Context(), []string{"own", "late"}, func([]string) {}); err != nil {
				t.Fatal(err)
			}
			for key, is := range map[string]string{
				"own": generationOf(t, s, names.Tag("own")), "late": generationOf(t, s, names.Tag("late")), "epoch": generationOf(t, s, names.Epoch()),
			} {
				if want := key != "late" && !fails; (is != "-") != want || is == "o1" {
					t.Errorf("EnsureMany fails: %v; %s has %q; want a new one: %v", fails, key, is, want)
				}
			}
		}
	})
}

func TestDeleteTagsStopsAtAFault(t *testing.T) {
	names := newNames()
	for _, at := range []string{names.Epoch(), names.Tag("a")} {
		t.Run(at, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				c := newClient(t, s)
				s.setBefore(func(_ context.Context, op, key string) error {
					if op == "Delete" && key == at {
						return errDown
					}
					return nil
				})
				dropped := false
				err := c.DeleteTags(t.Context(), []string{"a"}, func([]string) { dropped = true })
				if bad, ok := errors.AsType[*OpError](err); !ok || !bad.Unknown() || !dropped || s.count("Publish") != 1 {
					t.Errorf("DeleteTags = %v, dropped: %v, published: %d; want an OpError, true, 1", err, dropped, s.count("Publish"))
				}
			})
		})
	}
}

func TestResultIsStaleOnceAnyTagWasDeletedIfItsTagsAreLate(t *testing.T) {
	for name, tt := range map[string]struct {
		tags    func(*Config)
		deleted []string
		want    Fate
	}{
		"LateNoneDeleted": {withTags(true), nil, Stored},
		"LateDeleted":     {withTags(true), []string{"never-seen"}, NotStored},
		"OwnDeleted":      {withTags(false, "own"), []string{"own"}, NotStored},
		"AnotherDeleted":  {withTags(false, "own"), []string{"another"}, Stored},
		"BothNoneDeleted": {withTags(true, "own"), nil, Stored},
		"BothOwnDeleted":  {withTags(true, "own"), []string{"own"}, NotStored},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				f := fetched(t, newClient(t, s, tt.tags), &owner{})
				if tt.deleted != nil {
					deleteTags(t, s, tt.deleted...)
				}
				r := storable("1")
				if fate := f.Commit(r); fate != tt.want || (r.Verdict == StaleTags) != (fate == NotStored) {
					t.Errorf("Commit = %v, verdict %v; want %v", fate, r.Verdict, tt.want)
				}
			})
		})
	}
}

func TestRecordTagsKeepsGenerationsKnownFromBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, names := newStore(t), newNames()
		c := newClient(t, s)
		generation(t, s, "before", "b2")
		generation(t, s, "there", "t1")
		b := c.NewBudget()
		tags, err := c.RecordTags(t.Context(), &b, Generations{"before": "b1", "unused": "u1"}, []string{"before", "new", "there"}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		created := generationOf(t, s, names.Tag("new"))
		want := []record.Tag{{Name: "before", Gen: "b1"}, {Name: "new", Gen: created}, {Name: "there", Gen: "t1"}}
		if !slices.Equal(tags, want) || created == "-" {
			t.Errorf("RecordTags = %v; want %v", tags, want)
		}
	})
}

func TestTwoFetchesThatCreateAGenerationHaveTheSame(t *testing.T) {
	for _, without := range []bool{false, true} { // without a Batcher
		t.Run(fmt.Sprint(without), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				set := func(cfg *Config) { cfg.Tags, cfg.LateTags = []string{"own"}, true }
				if without {
					set = func(cfg *Config) { cfg.Store, cfg.Tags = bareStore{s}, []string{"own"} }
				}
				c := newClient(t, s, set)
				s.setBefore(func(_ context.Context, op, _ string) error {
					if op == "Add" || op == "EnsureMany" {
						generation(t, s, "own", "theirs")
					}
					return nil
				})
				b := c.NewBudget()
				if w, err := c.watchTags(t.Context(), &b, nil); err != nil || w.gens["own"] != "theirs" {
					t.Errorf("watchTags = %v, %v; want theirs", w, err)
				}
			})
		})
	}
}

func TestGenerationThatIsLostAgainIsAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, names := newStore(t), newNames()
		c := newClient(t, s, withTags(false, "own"), bare(s))
		s.setBefore(func(ctx context.Context, op, _ string) error {
			switch op {
			case "Add":
				generation(t, s, "own", "theirs")
			case "Get":
				s.Store.Delete(ctx, names.Tag("own"))
			}
			return nil
		})
		b := c.NewBudget()
		if w, err := c.watchTags(t.Context(), &b, nil); !errors.Is(err, errLost) {
			t.Errorf("watchTags = %v, %v; want %v", w, err, errLost)
		}
	})
}

func TestReadWithTagsTakesOneCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s, withTags(false, "a", "b"))
		b := c.NewBudget()
		if _, err := c.Read(t.Context(), &b, key); !errors.Is(err, driver.ErrMiss) {
			t.Errorf("Read of an absent key = %v; want ErrMiss", err)
		}
		f := fetched(t, c, &owner{})
		f.Commit(storable("1", BlankTags([]string{"a", "b"})...))
		before := s.total()
		if e, err := c.Read(t.Context(), &b, key); err != nil || e.Invalid || s.total() != before+1 {
			t.Errorf("Read = %+v, %v by %d commands; want a valid entry by 1", e, err, s.total()-before)
		}
		time.Sleep(time.Minute)
		if e, err := c.Read(t.Context(), &b, key); err != nil || e.Invalid {
			t.Errorf("Read after a minute = %+v, %v", e, err)
		}
	})
}

func TestLaterGenerationsWinAndChangeNothing(t *testing.T) {
	known, more := Generations{"a": "1", "b": ""}, Generations{"b": "2", "c": "3"}
	if got, want := known.with(more), (Generations{"a": "1", "b": "2", "c": "3"}); !maps.Equal(got, want) {
		t.Errorf("with = %v; want %v", got, want)
	}
	if want := (Generations{"a": "1", "b": ""}); !maps.Equal(known, want) {
		t.Errorf("with has changed its receiver to %v", known)
	}
}

func TestFaultOfTheEpochIsOneOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s, withTags(true))
		s.fail("EnsureMany")
		b := c.NewBudget()
		_, err := c.watchTags(t.Context(), &b, nil)
		if _, ok := errors.AsType[*OpError](err); !ok || !errors.Is(err, errDown) {
			t.Errorf("watchTags = %v; want an OpError", err)
		}
	})
}

func TestGenerationThatIsCreatedDuringDeleteTagsIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// A fetch that has seen the old epoch may commit until the epoch is gone.
		s, names := newStore(t), newNames()
		s.setBefore(func(_ context.Context, op, k string) error {
			if op == "Delete" && k == names.Epoch() {
				generation(t, s, "a", "g1")
			}
			return nil
		})
		if err := newClient(t, s).DeleteTags(t.Context(), []string{"a"}, func([]string) {}); err != nil {
			t.Fatal(err)
		}
		if g := generationOf(t, s, names.Tag("a")); g != "-" {
			t.Errorf("the generation is %q; want none", g)
		}
	})
}

func TestOnlyTagsWithoutAGenerationGetOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, names := newStore(t), newNames()
		c := newClient(t, s, withTags(false, "a", "b", "c"))
		generation(t, s, "a", "a1")
		generation(t, s, "c", "c1")
		for range 2 {
			b := c.NewBudget()
			w, err := c.watchTags(t.Context(), &b, nil)
			want := Generations{"a": "a1", "b": generationOf(t, s, names.Tag("b")), "c": "c1"}
			if err != nil || !maps.Equal(w.gens, want) || want["b"] == "-" {
				t.Errorf("watchTags = %v, %v; want %v", w, err, want)
			}
		}
		if s.count("EnsureMany") != 2 || s.total() != 2 {
			t.Errorf("%d commands were sent; want one each time", s.total())
		}
	})
}

func TestDeleteTagsRemovesTheEpochThoughTheBreakerIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		opened(t, c)
		if err := c.DeleteTags(t.Context(), []string{"a"}, func([]string) {}); err != nil || s.count("Delete") != 2 {
			t.Errorf("DeleteTags = %v, and %d writes were sent; want nil and 2", err, s.count("Delete"))
		}
	})
}
