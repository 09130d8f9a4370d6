package remote

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/memstore"
)

// slow makes every command take d, or end with its context.
func slow(s *fakeStore, d time.Duration) {
	s.setBefore(func(ctx context.Context, _, _ string) error {
		if !sleep(d, nil, ctx.Done()) {
			return ctx.Err()
		}
		return nil
	})
}

// writesOf returns n Writes of records, of keys from key0 on. Every third removes.
func writesOf(c *Client, n int) (writes []*Write, drops *int) {
	drops = new(int)
	for i := range n {
		w := newWrite(c, &writeOwner{drop: func() { *drops++ }}, value("new"))
		w.Key, w.Remove = fmt.Sprint(key, i), i%3 == 2
		writes = append(writes, w)
	}
	return writes, drops
}

func TestSetManyIsABatchDownToTheWire(t *testing.T) {
	for name, cfg := range map[string]func(*Config){
		"Leaser": func(*Config) {},
		"NoLeases": func(cfg *Config) {
			s := cfg.Store.(*fakeStore)
			cfg.Store = struct {
				driver.Store
				driver.Batcher
				driver.Bus
			}{s, s, s}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				slow(s, 180*time.Millisecond)
				c := newClient(t, s, cfg)
				const n = 2*chunkKeys + 1
				writes, drops := writesOf(c, n)
				ctx, leave := context.WithCancel(t.Context())
				leave()
				for i, err := range c.SetMany(ctx, writes) {
					if err != nil {
						t.Fatalf("write %d: %v", i, err)
					}
				}
				if sets, all := s.count("SetMany", "Set"), s.total(); sets != 3 || s.count("Publish") != 3 ||
					s.count("Delete") != 2 || all != 8 || *drops != n {
					t.Errorf("%d commands: %d that set, %d messages, %d Deletes; dropped %d keys; want 8: 3, 3, 2; %d",
						all, sets, s.count("Publish"), s.count("Delete"), *drops, n)
				}
				if left := len(c.writing()); left != 0 {
					t.Errorf("%d turns are left", left)
				}
			})
		})
	}
}

func TestChunkOfLargeRecordsHasFewer(t *testing.T) {
	var writes []*Write
	for _, size := range []int{chunkBytes / 2, chunkBytes / 2, 1, 2 * chunkBytes, 1} {
		writes = append(writes, &Write{Record: driver.Record{Data: make([]byte, size)}})
	}
	var chunks []int
	for from := 0; from < len(writes); from += chunks[len(chunks)-1] {
		chunks = append(chunks, chunkOf(writes[from:]))
	}
	if want := []int{2, 1, 1, 1}; !slices.Equal(chunks, want) {
		t.Errorf("chunks of %v records; want %v", chunks, want)
	}
}

func TestSetManyNamesExactlyTheKeysThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		writes, _ := writesOf(c, 10)
		writes[3].Record.TTL, writes[4].Record.TTL = -1, -1
		errs := c.SetMany(t.Context(), writes)
		for i, err := range errs {
			bad, ok := errors.AsType[*OpError](err)
			if failed := i == 3 || i == 4; failed != ok || ok && (bad.Op != "SetMany" || strings.Contains(bad.Error(), key)) {
				t.Errorf("error of write %d: %v", i, err)
			}
		}
		if errs[3] != errs[4] { //nolint:errorlint // the same value
			t.Errorf("two writes that failed for one reason have the errors %v and %v", errs[3], errs[4])
		}
	})
}

func TestChunkThatFailsLeavesTheOthersDone(t *testing.T) {
	for name, tt := range map[string]struct {
		op   string
		call func(c *Client) (failed int)
		want int
	}{
		"SetMany": {"SetMany", func(c *Client) (failed int) {
			writes, _ := writesOf(c, 3*chunkKeys)
			for _, err := range c.SetMany(context.Background(), writes) {
				if err != nil {
					failed++
				}
			}
			return failed
		}, chunkKeys},
		"Delete": {"Delete", func(c *Client) (failed int) {
			var keys []string
			for i := range 3 * chunkKeys {
				keys = append(keys, fmt.Sprint(key, i))
				c.Store.(*fakeStore).Store.Set(context.Background(), keys[i], value("old"))
			}
			drops := 0
			n, err := c.Delete(context.Background(), keys, func(int) { drops++ })
			if err == nil || drops != len(keys) {
				return -1
			}
			return len(keys) - n
		}, chunkKeys},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				c := newClient(t, s)
				s.setBefore(func(ctx context.Context, op, _ string) error {
					if op == tt.op && s.count(op) == 2 {
						<-ctx.Done()
						return ctx.Err()
					}
					return nil
				})
				start := time.Now()
				if failed := tt.call(c); failed < tt.want-1 || failed > tt.want+1 {
					t.Errorf("%d keys have failed; want those of the second chunk, %d", failed, tt.want)
				}
				if d := time.Since(start); d > c.Timeout || s.count(tt.op) < 3 {
					t.Errorf("%d chunks in %v; want 3 in %v", s.count(tt.op), d, c.Timeout)
				}
			})
		})
	}
}

func TestStoreThatHangsHoldsACallInChunksForThreeTimeouts(t *testing.T) {
	for name, call := range map[string]func(c *Client, keys []string) error{
		"SetMany": func(c *Client, keys []string) error {
			writes, drops := writesOf(c, len(keys))
			errs := c.SetMany(context.Background(), writes)
			if slices.Contains(errs, nil) || *drops == 0 {
				return nil
			}
			return errs[len(errs)-1]
		},
		"Delete": func(c *Client, keys []string) error {
			_, err := c.Delete(context.Background(), keys, func(int) {})
			return err
		},
		"DeleteTags": func(c *Client, keys []string) error {
			return c.DeleteTags(context.Background(), keys, func([]string) {})
		},
	} {
		for suffix, cfg := range map[string]func(*Config){
			"": func(*Config) {}, "/Bare": func(cfg *Config) { cfg.Store = bareStore{cfg.Store} },
		} {
			t.Run(name+suffix, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newStore(t)
					c := newClient(t, s, cfg)
					var keys []string
					for i := range 10 * chunkKeys {
						keys = append(keys, fmt.Sprint(key, i))
					}
					stall(s, nil)
					start := time.Now()
					err := call(c, keys)
					if d := time.Since(start); err == nil || d > hangs*c.Timeout {
						t.Errorf("error = %v after %v; want one after %v at most", err, d, hangs*c.Timeout)
					}
				})
			})
		}
	}
}

func TestDeleteOfManyKeysCountsADuplicateOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.Store = memstore.New(memstore.WithCapacity(200_000))
		defer s.Close()
		slow(s, 2*time.Millisecond)
		c := newClient(t, s)
		var keys []string
		for i := range 150_000 {
			keys = append(keys, fmt.Sprint(key, i))
			s.Store.Set(t.Context(), keys[i], value("old"))
		}
		keys = append(keys, keys[:1000]...) // in chunks of their own
		drops := make(map[int]bool)
		n, err := c.Delete(t.Context(), keys, func(i int) { drops[i] = true })
		if n != 150_000 || err != nil || len(drops) != n || drops[150_000] {
			t.Errorf("Delete = %d, %v, dropped %d keys; want 150,000, nil, each once", n, err, len(drops))
		}
	})
}

func TestDeleteTagsOfAThousandTagsSucceedsOverASlowStore(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg  func(*Config)
		most int
	}{
		"Batcher": {func(*Config) {}, 7},
		"Bare":    {func(cfg *Config) { cfg.Store = bareStore{cfg.Store} }, 2001},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, names := newStore(t), newNames()
				c := newClient(t, s, tt.cfg)
				var tags []string
				for i := range 1000 {
					tags = append(tags, fmt.Sprint("t", i))
					generation(t, s, tags[i], "old")
				}
				slow(s, 2*time.Millisecond)
				var dropped []string
				err := c.DeleteTags(t.Context(), tags, func(names []string) { dropped = append(dropped, names...) })
				if err != nil || !slices.Equal(dropped, tags) || s.total() > tt.most {
					t.Errorf("DeleteTags = %v by %d commands, dropped %d tags; want nil by %d at most",
						err, s.total(), len(dropped), tt.most)
				}
				for _, tag := range tags {
					if g := generationOf(t, s, names.Tag(tag)); g != "-" {
						t.Fatalf("the generation of %s is %q; want none", tag, g)
					}
				}
			})
		})
	}
}

func TestTagsOfManyWritesAreReadTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		names := make(map[string]time.Duration)
		for i := range 600 {
			names[fmt.Sprint("t", i)] = time.Hour
			generation(t, s, fmt.Sprint("t", i), "g")
		}
		gens, err := c.ReadTags(t.Context(), names)
		if err != nil || len(gens) != 600 || gens["t599"] != "g" || s.total() != 2 {
			t.Errorf("ReadTags = %d generations, %v by %d commands; want 600 by 2", len(gens), err, s.total())
		}
	})
}
