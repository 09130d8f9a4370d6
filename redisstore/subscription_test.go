package redisstore_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/redisstore"
)

// gaps subscribes, and returns a channel that receives the time of the Gap.
func gaps(t *testing.T, s *redisstore.Store) <-chan time.Time {
	t.Helper()
	gap := make(chan time.Time, 1)
	stop, err := s.Subscribe(t.Context(), func(inv driver.Invalidation) {
		if inv.Gap {
			gap <- time.Now()
		}
	})
	must(t, err)
	t.Cleanup(stop)
	return gap
}

// within fails the test if nothing has happened within limit.
func within(t *testing.T, limit time.Duration, what string, happened <-chan time.Time) {
	t.Helper()
	select {
	case <-happened:
	case <-time.After(limit):
		t.Errorf("no %s within %v", what, limit)
	}
}

func TestLostSubscriptionEndsWithAGap(t *testing.T) {
	server := redistest.Start(t)
	for name, lose := range map[string]func(*redisstore.Store) error{
		"killed": func(s *redisstore.Store) error {
			return s.Client().Do(t.Context(), "client", "kill", "type", "pubsub").Err()
		},
		"silent":    func(*redisstore.Store) error { return server.Stop() },
		"restarted": func(*redisstore.Store) error { return server.Restart() },
		"gone":      func(*redisstore.Store) error { server.Kill(); return nil },
		"closed":    func(s *redisstore.Store) error { return s.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			must(t, server.Restart())
			s := store(t, client(t, server, nil))
			gap := gaps(t, s)
			must(t, lose(s))
			within(t, 2*time.Second, "Gap", gap)
		})
	}
}

func TestSubscriptionOutlastsSilenceOfPublishers(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), nil))
	gap := gaps(t, s)
	select {
	case <-gap:
		t.Error("a Gap without a loss")
	case <-time.After(2500 * time.Millisecond):
	}
}

func TestWaitersAreWokenByALossAndByTheNextSubscription(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), nil))
	ctx := t.Context()
	woken, stop := s.Wake(ctx, key)
	defer stop()
	wake := func(why string) {
		t.Helper()
		select {
		case <-woken:
		case <-time.After(5 * time.Second):
			t.Fatalf("not woken by %s", why)
		}
	}
	wake("the confirmation of the subscription")
	must(t, s.Client().Do(ctx, "client", "kill", "type", "pubsub").Err())
	wake("the loss of the subscription")
	wake("the confirmation of the next subscription")
	c := acquire(t, s, driver.Ask{})
	if busy := acquire(t, s, driver.Ask{Token: asked + "2"}); busy.State != driver.Busy {
		t.Fatalf("Acquire = %v; want busy", busy.State)
	}
	if ok, err := s.Commit(ctx, key, c.Token, minute("v")); !ok {
		t.Fatal(err)
	}
	wake("the Commit")
}

func TestRefusedWakeUpsAreCountedAndLogged(t *testing.T) {
	server := redistest.Start(t)
	ctx := t.Context()
	must(t, client(t, server, nil).Do(ctx, "acl", "setuser", "u", "on", ">p", "~*", "resetchannels", "+@all").Err())
	var s *redisstore.Store
	log := &askingHandler{ask: func() { _, _ = s.Delete(ctx, "other") }}
	log.Handler = slog.NewTextHandler(&log.text, nil)
	s = redisstore.New(client(t, server, func(o *redis.Options) { o.Username, o.Password = "u", "p" }),
		redisstore.WithLogger(slog.New(log)))
	defer s.Close()
	for range 2 {
		c := acquire(t, s, driver.Ask{})
		acquire(t, s, driver.Ask{Token: asked + "2"})
		if ok, err := s.Commit(ctx, key, c.Token, minute("v")); !ok || err != nil {
			t.Fatalf("Commit = %v, %v; want true: only the wake-up is refused", ok, err)
		}
		_, err := s.Delete(ctx, key)
		must(t, err)
	}
	defer func() {
		s.Close()
		if n := s.Stats().WakesRefused; n != 2 || strings.Count(log.text.String(), "wake-ups") != 2 ||
			!strings.Contains(log.text.String(), "count=1") {
			t.Errorf("WakesRefused = %d, log %q; want 2, a line, and how often it went on", n, log.text.String())
		}
	}()
	if _, err := s.Subscribe(ctx, func(driver.Invalidation) {}); err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("Subscribe = %v; want NOPERM", err)
	}
	if err := s.Publish(ctx, driver.Invalidation{Prefix: "a"}); err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("Publish = %v; want NOPERM", err)
	}
}

// An askingHandler is a slow handler of a log that uses the store.
type askingHandler struct {
	slog.Handler
	text strings.Builder
	ask  func()
}

func (h *askingHandler) Handle(ctx context.Context, r slog.Record) error {
	time.Sleep(100 * time.Millisecond)
	h.ask()
	return h.Handler.Handle(ctx, r)
}

func TestNoWakeUpIsPublishedIfNobodyWaits(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), nil))
	ctx := t.Context()
	got, _ := spent(t, s, func() {
		c := acquire(t, s, driver.Ask{})
		_, err := s.Commit(ctx, key, c.Token, minute("v"))
		must(t, err)
		_, err = s.Delete(ctx, key)
		must(t, err)
	})
	if got["publish"] != 0 {
		t.Errorf("%d messages were published though nobody waits; want none", got["publish"])
	}
}

// A wake-up reaches those who wait for its key, and nobody else.
func TestWakeUpsGoToThoseWhoWaitOnly(t *testing.T) {
	server := redistest.Start(t)
	waiting, listening := store(t, client(t, server, nil)), store(t, client(t, server, nil))
	ctx := t.Context()
	stopListening, err := listening.Subscribe(ctx, func(inv driver.Invalidation) { t.Errorf("received %+v", inv) })
	must(t, err)
	defer stopListening()
	woken, stop := waiting.Wake(ctx, key)
	defer stop()
	other, stopOther := waiting.Wake(ctx, key+"other")
	defer stopOther()
	<-woken // their channels are confirmed
	<-other
	monitor := waiting.Client().PubSubNumSub(ctx, "zodiac:0", key).Val()
	if monitor["zodiac:0"] != 1 || monitor[key] != 1 {
		t.Errorf("subscribers %v; want one to each channel: who waits needs no invalidations", monitor)
	}
	c := acquire(t, waiting, driver.Ask{})
	acquire(t, waiting, driver.Ask{Token: asked + "2"})
	_, err = waiting.Commit(ctx, key, c.Token, minute("v"))
	must(t, err)
	select {
	case <-woken:
	case <-time.After(5 * time.Second):
		t.Error("no wake-up")
	}
	select {
	case <-other:
		t.Error("a waiter for another key was woken")
	case <-time.After(50 * time.Millisecond):
	}
}

func TestUnusedSubscriptionEnds(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), nil))
	ctx := t.Context()
	for i := range 3 {
		woken, stop := s.Wake(ctx, key)
		if i == 0 {
			<-woken // the channel is confirmed, and stays
		}
		unsubscribe, err := s.Subscribe(ctx, func(driver.Invalidation) {})
		must(t, err)
		stop()
		unsubscribe()
	}
	channels := func() int { return len(s.Client().PubSubChannels(ctx, "*").Val()) }
	if n := channels(); n != 2 {
		t.Errorf("%d channels have subscribers; want the key's and the Store's", n)
	}
	for deadline := time.Now().Add(4 * time.Second); channels() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the subscription has not ended after 4s")
		}
	}
}
