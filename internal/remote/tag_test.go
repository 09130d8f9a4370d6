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

func TestDeleteTagsChangesTheEpochFirstAndCreatesNoGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, names := newStore(t), newNames()
		c := newClient(t, s)
		generation(t, s, "known", "k1")
		epoch := ""
		for range 2 {
			if err := c.DeleteTags(t.Context(), []string{"unknown", "known"}, func([]string) {}); err != nil {
				t.Fatal(err)
			}
			now := generationOf(t, s, names.Epoch())
			if now == epoch || now == "-" {
				t.Errorf("the epoch is %q after %q; want a new one", now, epoch)
			}
			epoch = now
		}
		var set []string
		for _, cmd := range s.commands("Set", "Add") {
			set = append(set, cmd.key)
		}
		if want := []string{names.Epoch(), names.Tag("known")}; !slices.Equal(set, slices.Repeat(want, 2)) {
			t.Errorf("DeleteTags has written %q; want %q each time", set, want)
		}
		if g := generationOf(t, s, names.Tag("known")); g == "k1" || g == "-" {
			t.Errorf("the generation is %q; want a new one", g)
		}
	})
}

func TestDeleteTagsStopsAtAFault(t *testing.T) {
	for _, op := range []string{"Set", "GetMany"} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				c := newClient(t, s)
				s.fail(op)
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
		tags, err := c.RecordTags(t.Context(), &b, Generations{"before": "b1", "unused": "u1"}, []string{"before", "new", "there"})
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
	names := newNames()
	for name, tt := range map[string]struct {
		answer string // of the Get after the Add that came too late
		want   error
	}{
		"Kept": {"theirs", nil}, "LostAgain": {"-", errLost},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				c := newClient(t, s, withTags(false, "own"))
				s.setBefore(func(ctx context.Context, op, _ string) error {
					switch {
					case op == "Add":
						generation(t, s, "own", "theirs")
					case op == "Get" && tt.answer == "-":
						s.Store.Delete(ctx, names.Tag("own"))
					}
					return nil
				})
				b := c.NewBudget()
				w, err := c.watchTags(t.Context(), &b)
				if !errors.Is(err, tt.want) || err == nil && !maps.Equal(w.gens, Generations{"own": tt.answer}) {
					t.Errorf("watchTags = %v, %v; want %q, %v", w, err, tt.answer, tt.want)
				}
			})
		})
	}
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
		f.Commit(storable("1", f.RecordTags([]string{"a", "b"})...))
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
	for _, op := range []string{"Get", "Add"} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				c := newClient(t, s, withTags(true))
				s.fail(op)
				b := c.NewBudget()
				_, err := c.watchTags(t.Context(), &b)
				if _, ok := errors.AsType[*OpError](err); !ok || !errors.Is(err, errDown) {
					t.Errorf("watchTags = %v; want an OpError", err)
				}
			})
		})
	}
}

func TestGenerationThatIsCreatedDuringDeleteTagsIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// A fetch that has seen the old epoch may commit until the epoch moves.
		s, names := newStore(t), newNames()
		s.setBefore(func(_ context.Context, op, k string) error {
			if op == "Set" && k == names.Epoch() {
				generation(t, s, "a", "g1")
			}
			return nil
		})
		if err := newClient(t, s).DeleteTags(t.Context(), []string{"a"}, func([]string) {}); err != nil {
			t.Fatal(err)
		}
		if g := generationOf(t, s, names.Tag("a")); g == "g1" || g == "-" {
			t.Errorf("the generation is %q; want a new one", g)
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
			w, err := c.watchTags(t.Context(), &b)
			want := Generations{"a": "a1", "b": generationOf(t, s, names.Tag("b")), "c": "c1"}
			if err != nil || !maps.Equal(w.gens, want) || want["b"] == "-" {
				t.Errorf("watchTags = %v, %v; want %v", w.gens, err, want)
			}
		}
		if n := s.count("Add"); n != 1 || s.total() != 3 {
			t.Errorf("%d commands were sent, %d of them Add; want two reads, and Add once",
				s.total(), n)
		}
	})
}

func TestDeleteTagsFailsIfAGenerationStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, names := newStore(t), newNames()
		c := newClient(t, s)
		generation(t, s, "a", "a1")
		s.setBefore(func(_ context.Context, op, k string) error {
			if op == "Set" && k == names.Tag("a") {
				return errDown
			}
			return nil
		})
		err := c.DeleteTags(t.Context(), []string{"a"}, func([]string) {})
		if bad, ok := errors.AsType[*OpError](err); !ok || bad.Op != "Set" {
			t.Errorf("DeleteTags = %v; want an OpError of Set", err)
		}
	})
}

func TestGenerationsAndTheEpochStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, names := newStore(t), newNames()
		c := newClient(t, s)
		generation(t, s, "a", "a1")
		if err := c.DeleteTags(t.Context(), []string{"a"}, func([]string) {}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1000 * time.Hour)
		a, epoch := generationOf(t, s, names.Tag("a")), generationOf(t, s, names.Epoch())
		if a == "-" || epoch == "-" {
			t.Errorf("after 1000 hours the generation is %q, the epoch %q", a, epoch)
		}
	})
}

func TestDeleteTagsChangesTheEpochThoughTheBreakerIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		opened(t, c)
		if err := c.DeleteTags(t.Context(), []string{"a"}, func([]string) {}); err == nil ||
			s.count("Set") != 1 {
			t.Errorf("DeleteTags = %v, and %d writes were sent; want an error, and that of the epoch",
				err, s.count("Set"))
		}
	})
}
