package redisstore_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/redisstore"
)

func fetchNumber(_ context.Context, n int) (int, error) { return n, nil }

// tagOfItsOwn gives each value a tag that no other has, and one that all have.
func tagOfItsOwn(n, _ int) []string { return []string{fmt.Sprint("n", n), "all"} }

// A pipeline is one round trip.
func TestRoundTripsOfALoader(t *testing.T) {
	heeds := func(o *redis.Options) { o.ContextTimeoutEnabled = true } // else hooks added later are not called
	s := store(t, client(t, redistest.Start(t), heeds))
	ctx := t.Context()
	for name, tt := range map[string]struct {
		tags      zodiac.Option
		hit, miss int
	}{
		"NoTags":     {zodiac.Options{}, 1, 3},
		"StaticTags": {zodiac.WithTags("a", "b"), 1, 4},
		"TagsFunc":   {zodiac.WithTagsFunc(tagOfItsOwn), 2, 4},
		"Both":       {zodiac.Options{zodiac.WithTags("a"), zodiac.WithTagsFunc(tagOfItsOwn)}, 2, 4},
	} {
		t.Run(name, func(t *testing.T) {
			l := zodiac.NewLoader(fetchNumber, zodiac.WithName(name), zodiac.WithStore(s), zodiac.WithTTL(60), tt.tags)
			defer l.Close(ctx)
			// The first miss of all leaves its scripts with the server, and the epoch.
			if _, err := l.Get(ctx, 0); err != nil {
				t.Fatal(err)
			}
			for what, want := range map[string]int{"miss": tt.miss, "hit": tt.hit} {
				if what == "hit" {
					l.Get(ctx, 1)
				}
				commands, trips := spent(t, s, func() {
					if n, err := l.Get(ctx, 1); n != 1 || err != nil {
						t.Errorf("Get = %v, %v", n, err)
					}
				})
				if trips != want {
					t.Errorf("a %s takes %d round trips; want %d: %v", what, trips, want, commands)
				}
				l.Delete(ctx, 1)
			}
		})
	}
}

// Entries of a second with a tag of their own each, that have expired and were cleared.
func TestTagsOfEntriesThatHaveExpiredDoNotStay(t *testing.T) {
	const life = time.Second
	run := func(t *testing.T, s *redisstore.Store, entries int) {
		ctx := context.Background()
		l := zodiac.NewLoader(fetchNumber, zodiac.WithName("short"), zodiac.WithStore(s), zodiac.WithTTL(life),
			zodiac.WithTags("static"), zodiac.WithTagsFunc(tagOfItsOwn))
		defer l.Close(ctx)
		keys := make([]int, entries)
		for i := range keys {
			keys[i] = i
		}
		if got, err := l.GetMany(ctx, keys[:entries/2]); len(got) != entries/2 || err != nil {
			t.Fatalf("GetMany = %d values, %v", len(got), err)
		}
		for _, n := range keys[entries/2:] {
			must(t, l.Set(ctx, n, n, zodiac.WithTags(fmt.Sprint("set", n))))
		}
		must(t, l.DeleteTags(ctx, "static", "n1", "unknown"))
		time.Sleep(life)
		if _, err := l.Clear(ctx); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("InTime", func(t *testing.T) { // each key has an end, and few are far away
		s := store(t, client(t, redistest.Start(t), nil))
		run(t, s, 2000)
		keys, err := s.Client().Keys(t.Context(), "*").Result()
		must(t, err)
		for _, key := range keys {
			ttl, err := s.Client().PTTL(t.Context(), key).Result()
			must(t, err)
			limit := 20 * time.Second
			if strings.HasSuffix(key, ":static") || strings.HasPrefix(key, "zodiac::%epoch:") {
				limit = 36 * time.Hour
			}
			if ttl <= 0 && ttl != -2 || ttl > limit { // -2: it has ended since
				t.Errorf("%s has %v left; want at most %v", key, ttl, limit)
			}
		}
	})
	t.Run("Afterwards", func(t *testing.T) { // nothing is left
		synctest.Test(t, func(t *testing.T) {
			s := redisstore.New(redistest.Virtual(t))
			defer s.Close()
			run(t, s, 200)
			time.Sleep(48 * time.Hour)
			keys, err := s.Client().Keys(context.Background(), "*").Result()
			must(t, err)
			if len(keys) > 0 {
				t.Errorf("%d keys are left: %s…", len(keys), keys[0])
			}
		})
	})
}
