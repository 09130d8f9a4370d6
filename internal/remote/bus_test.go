package remote

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// A fakeMemory counts what a Client does with memory.
type fakeMemory struct {
	mu      sync.Mutex // guards the fields below
	clears  int
	removed []any
}

func (m *fakeMemory) memory() *Memory {
	return &Memory{
		Clear: func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.clears++
		},
		Remove: func(place any) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.removed = append(m.removed, place)
		},
		Empty: func(any) bool { return false },
	}
}

func (m *fakeMemory) cleared() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.clears
}

// newNearClient returns a Client with memory in front of the store.
func newNearClient(t *testing.T, s *fakeStore, changes ...func(*Config)) (*Client, *fakeMemory) {
	m := &fakeMemory{}
	changes = append([]func(*Config){func(cfg *Config) { cfg.Memory, cfg.MemoryLife = m.memory(), time.Minute }}, changes...)
	return newClient(t, s, changes...), m
}

// subscribed is newNearClient once invalidations are received.
func subscribed(t *testing.T, s *fakeStore) (*Client, *fakeMemory) {
	t.Helper()
	c, m := newNearClient(t, s)
	if token := c.FillToken(key); token != (FillToken{}) {
		t.Fatalf("FillToken before the first subscription = %+v; want zero", token)
	}
	synctest.Wait()
	if !c.hub.parts[0].connected.Load() {
		t.Fatal("the first FillToken has not subscribed")
	}
	return c, m
}

// manyKeys are keys of nearly all stripes.
func manyKeys() (keys []string) {
	for i := range 8 * nearStripes {
		keys = append(keys, fmt.Sprint(key, i))
	}
	return keys
}

// permits reports whether a token permits to fill memory.
func permits(c *Client, key string, token FillToken, place any, tags []tier.Tag) (filled bool) {
	c.Fill(key, token, place, tags, func() { filled = true })
	return filled
}

// permitted returns how many tokens permit to fill memory.
func permitted(c *Client, tokens map[string]FillToken) (n int) {
	for key, token := range tokens {
		if permits(c, key, token, key, nil) {
			n++
		}
	}
	return n
}

func tokensOf(c *Client, keys []string) map[string]FillToken {
	tokens := make(map[string]FillToken)
	for _, key := range keys {
		tokens[key] = c.FillToken(key)
	}
	return tokens
}

// cut ends the subscription.
func (s *fakeStore) cut() { s.deliver(driver.Invalidation{Gap: true}) }

func TestGapRevokesAllTokensBeforeTheNextSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c, m := subscribed(t, s)
		tokens := tokensOf(c, manyKeys())
		if n := permitted(c, tokens); n != len(tokens) {
			t.Fatalf("%d of %d fresh tokens permit to fill memory", n, len(tokens))
		}
		s.fail("Subscribe")
		s.cut()
		synctest.Wait()
		if n := permitted(c, tokens); n != 0 {
			t.Errorf("%d of %d tokens from before the Gap permit to fill memory", n, len(tokens))
		}
		if m.cleared() != 2 || c.FillToken(key) != (FillToken{}) {
			t.Errorf("memory was cleared %d times, and is still in use: %v; want 2 times, false",
				m.cleared(), c.FillToken(key) != (FillToken{}))
		}
	})
}

func TestNewSubscriptionRevokesAllTokensFromBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c, m := subscribed(t, s)
		s.fail("Subscribe")
		s.cut()
		synctest.Wait()
		// A FillToken that is taken while the Gap arrives: it finds memory in use, and reads the
		// counter after the Gap has moved that.
		tokens := make(map[string]FillToken)
		for _, key := range manyKeys() {
			tokens[key] = FillToken{c.near.stripe(hashKey(key)).Load(), c.Space.Epoch()}
		}
		s.heal()
		time.Sleep(resubscribeAfter)
		synctest.Wait()
		if !c.hub.parts[0].connected.Load() || m.cleared() != 3 {
			t.Fatalf("connected: %v, memory was cleared %d times; want true, 3", c.hub.parts[0].connected.Load(), m.cleared())
		}
		if n := permitted(c, tokens); n != 0 {
			t.Errorf("%d of %d tokens from before the subscription permit to fill memory", n, len(tokens))
		}
		if tokens := tokensOf(c, manyKeys()); permitted(c, tokens) != len(tokens) {
			t.Error("tokens from after the subscription permit nothing")
		}
	})
}

func TestInvalidationThatIsReceivedRevokesTokens(t *testing.T) {
	names := newNames()
	hashed := func(letter, key string) string {
		n := name{letter: letter[0], hash: hashKey(key)}
		if letter != "t" {
			n.space = hashSpace(names.Prefix())
		}
		return n.String()
	}
	for name, tt := range map[string]struct {
		inv     driver.Invalidation
		revokes bool // tokens of the key
		others  bool // tokens of other keys
		removes []any
		clears  int
	}{
		"Key":            {driver.Invalidation{Keys: []string{hashed("k", key)}}, true, false, []any{"place"}, 0},
		"AnotherKey":     {driver.Invalidation{Keys: []string{hashed("k", key+"other")}}, false, true, nil, 0},
		"Tag":            {driver.Invalidation{Keys: []string{hashed("t", names.Tag("tag"))}}, true, true, nil, 0},
		"UnknownTag":     {driver.Invalidation{Keys: []string{hashed("t", names.Tag("unknown"))}}, true, true, nil, 0},
		"Prefix":         {driver.Invalidation{Prefix: names.Prefix()}, true, true, nil, 1},
		"WiderPrefix":    {driver.Invalidation{Prefix: "zodiac:"}, true, true, nil, 1},
		"NarrowerPrefix": {driver.Invalidation{Prefix: key}, true, true, nil, 1},
		"OthersPrefix":   {driver.Invalidation{Prefix: "zodiac::another:"}, false, false, nil, 0},
		"Empty":          {driver.Invalidation{}, false, false, nil, 0},
		"TooShort":       {driver.Invalidation{Keys: []string{"", "k", hashed("k", key)[:16]}}, false, false, nil, 0},
		"TooLong":        {driver.Invalidation{Keys: []string{hashed("k", key) + "x"}}, false, false, nil, 0},
		"UnknownLetter":  {driver.Invalidation{Keys: []string{hashed("x", key)}}, false, false, nil, 0},
		"OneOfThreeKeys": {driver.Invalidation{Keys: []string{"", "x", hashed("k", key)}}, true, false, []any{"place"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				c, m := subscribed(t, s)
				label := c.Space.Label("tag")
				generation := label.Tag()
				permits(c, key, c.FillToken(key), "place", []tier.Tag{generation})
				m.clears = 0
				token, other := c.FillToken(key), c.FillToken(key+"other")
				s.deliver(tt.inv)
				if got := !permits(c, key, token, "place", nil); got != tt.revokes {
					t.Errorf("the token of the key is revoked: %v; want %v", got, tt.revokes)
				}
				if got := !permits(c, key+"other", other, "other", nil); got != tt.others {
					t.Errorf("the token of another key is revoked: %v; want %v", got, tt.others)
				}
				if !slices.Equal(m.removed, tt.removes) || m.clears != tt.clears {
					t.Errorf("removed %v, cleared %d times; want %v, %d", m.removed, m.clears, tt.removes, tt.clears)
				}
				if deleted := label.Tag() != generation; deleted != (name == "Tag") {
					t.Errorf("the tag was deleted in memory: %v", deleted)
				}
			})
		})
	}
}

func TestPublishedNamesAreReceived(t *testing.T) {
	for name, publish := range map[string]func(ctx context.Context, c *Client) error{
		"Set": func(ctx context.Context, c *Client) error {
			return newWrite(c, &writeOwner{}, value("1")).Set(ctx)
		},
		"Delete": func(ctx context.Context, c *Client) error {
			_, err := c.Delete(ctx, []string{key}, func(int) {})
			return err
		},
		"Clear": func(ctx context.Context, c *Client) error {
			_, err := c.Clear(ctx, func() {})
			return err
		},
		"DeleteTags": func(ctx context.Context, c *Client) error {
			return c.DeleteTags(ctx, []string{"tag"}, func([]string) {})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				c, _ := subscribed(t, s)
				token := c.FillToken(key)
				if err := publish(t.Context(), newClient(t, s)); err != nil || permits(c, key, token, "place", nil) {
					t.Errorf("%s in another process = %v, and the token of this one is still good", name, err)
				}
			})
		})
	}
}

func TestErrorOfPublishIsTheCallersOnlyWithMemoryInFront(t *testing.T) {
	for name, near := range map[string]bool{"Memory": true, "NoMemory": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, o := newStore(t), &writeOwner{}
				var reported []error
				report := func(cfg *Config) {
					cfg.Report = func(_ context.Context, err error) { reported = append(reported, err) }
				}
				var c *Client
				if near {
					c, _ = newNearClient(t, s, report)
				} else {
					c = newClient(t, s, report)
				}
				s.fail("Publish")
				errs := []error{newWrite(c, o, value("1")).Set(t.Context()), c.DeleteTags(t.Context(), []string{"a"}, func([]string) {})}
				_, err := c.Delete(t.Context(), []string{key}, func(int) {})
				errs = append(errs, err)
				for _, err := range errs {
					bad, ok := errors.AsType[*OpError](err)
					if ok != near || ok && (bad.Op != "Publish" || !bad.Unknown()) {
						t.Errorf("error = %v; want one of Publish: %v", err, near)
					}
				}
				if told := len(reported) + len(o.failed); (told == 3) == near || near && told > 0 {
					t.Errorf("reported: %v, %v", reported, o.failed)
				}
			})
		})
	}
}

func TestFailedSubscriptionIsRepeatedAfterAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, start := newStore(t), time.Now()
		warnings := 0
		c, _ := newNearClient(t, s, func(cfg *Config) {
			cfg.LogFault = func(string, error) { warnings++ }
		})
		s.fail("Subscribe")
		for range 10 {
			c.FillToken(key) // begins to subscribe, once
		}
		time.Sleep(2*resubscribeAfter + 1)
		s.heal()
		time.Sleep(resubscribeAfter)
		synctest.Wait()
		for i, cmd := range s.commands("Subscribe") {
			if at := cmd.at.Sub(start); at != time.Duration(i)*250*time.Millisecond {
				t.Errorf("subscription %d was tried after %v", i, at)
			}
		}
		if n := s.count("Subscribe"); n != 4 || warnings != 3 || c.FillToken(key) == (FillToken{}) {
			t.Errorf("%d attempts, %d warnings, token %v; want 4, 3, one that is not zero", n, warnings, c.FillToken(key))
		}
	})
}

func TestGapDuringASubscriptionIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c, _ := newNearClient(t, s)
		s.setAfter(func(op, _ string) error {
			if op == "Subscribe" && s.count("Subscribe") == 1 {
				s.cut() // before Subscribe has returned
			}
			return nil
		})
		c.FillToken(key)
		synctest.Wait()
		if c.hub.parts[0].connected.Load() {
			t.Error("memory is used under a subscription that was lost")
		}
		time.Sleep(resubscribeAfter)
		synctest.Wait()
		if !c.hub.parts[0].connected.Load() || s.subscribers() != 1 {
			t.Errorf("connected: %v, with %d subscriptions; want true, 1", c.hub.parts[0].connected.Load(), s.subscribers())
		}
	})
}

func TestGapOfAFormerSubscriptionIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c, _ := subscribed(t, s)
		s.cut()
		time.Sleep(resubscribeAfter)
		synctest.Wait()
		c.hub.parts[0].receive(1, driver.Invalidation{Gap: true})
		if n := s.subscribers(); !c.hub.parts[0].connected.Load() || n != 1 {
			t.Errorf("connected: %v, with %d subscriptions; want true, 1", c.hub.parts[0].connected.Load(), n)
		}
	})
}

// A Close whose context ends does not wait for an attempt to subscribe. What that brings is stopped.
func TestSubscriptionThatCloseHasNotWaitedForIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		answer := make(chan struct{})
		s.setBefore(func(_ context.Context, op, _ string) error {
			if op == "Subscribe" {
				<-answer
			}
			return nil
		})
		c, _ := newNearClient(t, s)
		c.FillToken(key)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.Close(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Close = %v; want the error of its context", err)
		}
		close(answer)
		synctest.Wait()
		if n := s.subscribers(); n != 0 || c.hub.parts[0].connected.Load() {
			t.Errorf("after Close there are %d subscriptions, connected: %v; want none", n, c.hub.parts[0].connected.Load())
		}
	})
}

func TestClosedClientDoesNotSubscribe(t *testing.T) {
	for name, before := range map[string]func(c *Client, s *fakeStore){
		"NeverSubscribed": func(*Client, *fakeStore) {},
		"Subscribed": func(c *Client, _ *fakeStore) {
			c.FillToken(key)
			synctest.Wait()
		},
		"Subscribing": func(c *Client, s *fakeStore) {
			stall(s, nil)
			c.FillToken(key)
			synctest.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				c, _ := newNearClient(t, s)
				before(c, s)
				start := time.Now()
				if err := c.Close(t.Context()); err != nil || time.Since(start) != 0 {
					t.Errorf("Close = %v after %v; want nil at once", err, time.Since(start))
				}
				tries, left := s.count("Subscribe"), s.subscribers()
				s.heal()
				s.cut()
				if token := c.FillToken(key); token != (FillToken{}) {
					t.Errorf("FillToken after Close = %v; want zero", token)
				}
				time.Sleep(time.Minute)
				if s.count("Subscribe") != tries || left != 0 {
					t.Errorf("%d subscriptions after Close, %d are left", s.count("Subscribe")-tries, left)
				}
			})
		})
	}
}
