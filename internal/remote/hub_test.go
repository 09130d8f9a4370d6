package remote

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/keytext"
)

// A stream delivers what is published on another store too, unless lose says that it is lost.
func stream(from, to *fakeStore, lose func(driver.Invalidation) bool) {
	from.relay = func(inv driver.Invalidation) {
		if !lose(inv) {
			to.deliver(inv)
		}
	}
}

// sharing returns two Clients over one store that share a backend.
func sharing(t *testing.T, s *fakeStore) (clients [2]*Client, memories [2]*fakeMemory) {
	for i, loader := range []string{"one", "two"} {
		names := keytext.NewNames("", loader, "", false)
		if !Reserve(s, names.Prefix()) {
			t.Fatal("the prefix is taken")
		}
		clients[i], memories[i] = newNearClient(t, s, func(cfg *Config) { cfg.Names = names })
		clients[i].FillToken(key)
	}
	synctest.Wait()
	return clients, memories
}

func TestClientsOverOneStoreShareOneSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		clients, memories := sharing(t, s)
		if n := s.count("Subscribe"); n != 1 {
			t.Fatalf("%d subscriptions; want 1", n)
		}
		for i, c := range clients {
			permits(c, key, c.FillToken(key), "place", nil)
			b := c.NewBudget()
			if err := c.publishKeys(t.Context(), &b, key); err != nil {
				t.Fatal(err)
			}
			if got := len(memories[i].removed); got != 1 {
				t.Errorf("client %d: %d keys removed; want its own", i, got)
			}
		}
		if n := len(memories[0].removed); n != 1 {
			t.Errorf("a key of another loader was removed: %d", n)
		}
		if err := clients[0].Close(t.Context()); err != nil || s.subscribers() != 1 {
			t.Errorf("Close of one of two = %v, leaves %d subscriptions; want 1", err, s.subscribers())
		}
		if err := clients[1].Close(t.Context()); err != nil || s.subscribers() != 0 {
			t.Errorf("Close of the last = %v, leaves %d subscriptions", err, s.subscribers())
		}
	})
}

func TestLostMessageEmptiesMemoryWithinASecondAndTheSubscriptionGoesOn(t *testing.T) {
	for name, lost := range map[string]map[uint64]bool{
		"First": {1: true}, "InABurst": {2: true}, "Last": {3: true}, "All": {1: true, 2: true, 3: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				here, there := newStore(t), newStore(t)
				stream(there, here, func(inv driver.Invalidation) bool { return !inv.Repeats() && lost[inv.Number] })
				c, m := subscribed(t, here)
				other := newClient(t, there)
				time.Sleep(time.Minute)
				tokens := tokensOf(c, manyKeys())
				for range 3 {
					b := other.NewBudget()
					if err := other.publishKeys(t.Context(), &b, "zodiac::another:7"); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Second)
				if n := permitted(c, tokens); n != 0 || m.cleared() != 2 {
					t.Errorf("%d tokens from before the loss permit to fill memory, which was cleared %d times; want 0, 2",
						n, m.cleared())
				}
				if here.subscribers() != 1 || here.count("Subscribe") != 1 || c.FillToken(key) == (FillToken{}) {
					t.Error("the subscription does not go on")
				}
				if s := c.BusStats(); s.Gaps != 1 {
					t.Errorf("BusStats = %+v; want 1 Gap", s)
				}
				before := c.FillToken(key)
				time.Sleep(time.Minute)
				if c.FillToken(key) != before {
					t.Error("there are Gaps at rest")
				}
			})
		})
	}
}

func TestMalformedAndForeignMessagesAreCountedAndChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c, m := subscribed(t, s)
		tokens := tokensOf(c, manyKeys())
		for _, inv := range []driver.Invalidation{
			{Malformed: true},
			{Keys: []string{"k"}},
			{Keys: []string{string(make([]byte, 1<<20))}, Publisher: 5, Number: 1},
		} {
			s.deliver(inv)
		}
		other := name{keyLetter, hashSpace("another prefix"), hashKey(key)}
		s.deliver(driver.Invalidation{Publisher: 5, Number: 2, Keys: []string{other.String()}, Sent: time.Now().Add(time.Hour)})
		if n := permitted(c, tokens); n != len(tokens) || m.cleared() != 1 {
			t.Errorf("%d of %d tokens are left", n, len(tokens))
		}
		if s := c.BusStats(); s.Malformed != 3 || s.Gaps != 0 || s.LagP99 > time.Microsecond {
			t.Errorf("BusStats = %+v; want 3 malformed, no Gap, no lag", s)
		}
	})
}

func TestLagIsTheTimeFromSentToReceived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c, _ := subscribed(t, s)
		for i := range 100 {
			s.deliver(driver.Invalidation{Publisher: 5, Number: uint64(i + 1), Sent: time.Now().Add(-10 * time.Millisecond)})
		}
		if s := c.BusStats(); s.LagP50 < 10*time.Millisecond || s.LagP50 > 12*time.Millisecond || s.LagP99 != s.LagP50 {
			t.Errorf("BusStats = %+v; want 10ms", s)
		}
	})
}

// One failed message that several callers have joined is one fault of the store.
func TestFailedMessageThatManyHaveJoinedIsOneFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		s.setBefore(func(context.Context, string, string) error {
			time.Sleep(time.Millisecond)
			return errDown
		})
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				b := c.NewBudget()
				if err := c.publishKeys(t.Context(), &b, key); err == nil {
					t.Error("publishKeys = nil")
				}
			})
		}
		all.Wait()
		if n := s.count("Publish"); n != 2 || !c.allows(key) {
			t.Errorf("%d messages; the store is skipped: %v; want 2, false", n, !c.allows(key))
		}
	})
}
