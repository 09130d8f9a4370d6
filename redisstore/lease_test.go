package redisstore_test

import (
	"testing"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/redistest"
)

// lasts is the time to live of records whose leases outlive them.
const lasts = 300 * time.Millisecond

// A lease that follows a longer one ends when it was asked to, not when the longer one would have.
func TestLeaseDoesNotInheritTheDeadlineOfAnEarlierOne(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), nil))
	ctx := t.Context()
	for name, force := range map[string]bool{"aborted": false, "superseded": true} {
		t.Run(name, func(t *testing.T) {
			must(t, s.Set(ctx, key, driver.Record{Data: []byte("v"), TTL: lasts}))
			r, err := s.Get(ctx, key)
			must(t, err)
			first := acquire(t, s, driver.Ask{Seen: r.Version})
			_, err = s.Renew(ctx, key, first.Token, time.Minute)
			must(t, err)
			if !force {
				_, err = s.Abort(ctx, key, first.Token)
				must(t, err)
			}
			if c := acquire(t, s, driver.Ask{Token: asked + "2", Seen: r.Version, Force: force}); c.State != driver.Won {
				t.Fatalf("Acquire = %v; want won", c.State)
			}
			// Suppose the holder is killed here: others must not wait longer than the second it
			// asked for.
			c := acquire(t, s, driver.Ask{Token: asked + "3", Seen: r.Version})
			if c.State != driver.Busy || c.Left > time.Second {
				t.Errorf("Acquire = %v, %v left; want busy for at most a second", c.State, c.Left)
			}
			if left := s.Client().PTTL(ctx, key).Val(); left > time.Second {
				t.Errorf("the key has %v left; want at most a second", left)
			}
		})
	}
}

// The PTTL of a read comes while a long lease keeps the key, and the GET comes after a short lease
// has replaced the long one.
func TestTimeLeftIsNotTooLongWhenAShorterLeaseIsGrantedDuringTheRead(t *testing.T) {
	server := redistest.Start(t)
	s := store(t, client(t, server, nil))
	torn := newTear(t, server)
	ctx := t.Context()
	must(t, s.Set(ctx, key, driver.Record{Data: []byte("v"), TTL: lasts}))
	r, err := s.Get(ctx, key)
	must(t, err)
	acquire(t, s, driver.Ask{Seen: r.Version, Lease: time.Minute})
	for r.TTL > lasts/2 {
		r, err = s.Get(ctx, key)
		must(t, err)
	}
	got, err := torn.read(t, func() {
		acquire(t, s, driver.Ask{Token: asked + "2", Force: true})
	})
	if err != nil || got.TTL > r.TTL {
		t.Errorf("Get = %v left, %v; want at most %v, which were left before", got.TTL, err, r.TTL)
	}
}

func TestLeaseForEverIsRefusedAndALongOneIsCut(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), nil))
	ctx := t.Context()
	if c, err := s.Acquire(ctx, key, driver.Ask{Token: asked, Lease: driver.Forever}); err == nil {
		t.Errorf("Acquire for ever = %+v; want an error", c)
	}
	if n := s.Client().Exists(ctx, key).Val(); n != 0 {
		t.Error("the key exists after Acquire has returned an error")
	}
	const years = 200 * 365 * 24 * time.Hour
	c := acquire(t, s, driver.Ask{Lease: years})
	if ok, err := s.Renew(ctx, key, c.Token, driver.Forever); ok || err == nil {
		t.Errorf("Renew for ever = %v, %v; want an error", ok, err)
	}
	if b := acquire(t, s, driver.Ask{Token: asked + "2"}); b.State != driver.Busy || b.Left < 23*time.Hour || b.Left > 24*time.Hour {
		t.Errorf("Acquire = %v, %v left; want busy for a day", b.State, b.Left)
	}
}

// The key was set to expire in the present millisecond, which removed it, and then written without
// an expiry.
func TestClearInTheLastMillisecondOfALeaseLeavesNoKey(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), nil))
	ctx := t.Context()
	for i := range 100 {
		acquire(t, s, driver.Ask{Lease: 2 * time.Millisecond})
		time.Sleep(time.Duration(i%10) * 200 * time.Microsecond)
		_, err := s.Clear(ctx, "zodiac:")
		must(t, err)
		if left := s.Client().PTTL(ctx, key).Val(); left == -1 {
			t.Fatal("a lease of two milliseconds has left a key that never ends")
		}
	}
}
