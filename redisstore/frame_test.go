package redisstore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/redistest"
)

// A frame is the fields of docs/redis-frame.md, in their order, and the payload.
type frame struct {
	format, flags, lease, producer string
	dies, deadline, life           int64
	payload                        string
}

// parse reads a frame without the help of the package.
func parse(t *testing.T, value string) frame {
	t.Helper()
	if len(value) < 64 {
		t.Fatalf("%q is too short for a frame", value)
	}
	number := func(s string) (n int64) {
		for _, b := range []byte(s) {
			n = n<<8 | int64(b)
		}
		return n
	}
	return frame{
		value[:1], value[1:2], value[2:24], value[24:46],
		number(value[46:52]), number(value[52:58]), number(value[58:64]), value[64:],
	}
}

const blank = "                      " // in place of a lease or a producer

func TestFrameIsAsDocumented(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), nil))
	ctx := t.Context()
	raw := func() frame {
		t.Helper()
		value, err := s.Client().Get(ctx, key).Result()
		must(t, err)
		return parse(t, value)
	}
	expect := func(what string, want frame) {
		t.Helper()
		if got := raw(); got != want {
			t.Errorf("after %s:\n%+v; want\n%+v", what, got, want)
		}
	}
	expiry := func() int64 { return s.Client().PExpireTime(ctx, key).Val().Milliseconds() }

	must(t, s.Set(ctx, key, minute("v")))
	r, err := s.Get(ctx, key)
	must(t, err)
	f := raw()
	if d := time.Until(time.UnixMilli(f.dies)); d < 59*time.Second || d > 61*time.Second {
		t.Errorf("the record ends in %v; want a minute", d)
	}
	expect("Set", frame{"z", "0", blank, r.Version, f.dies, 0, 60_000, "v"})
	if got := expiry(); got != f.dies-1 {
		t.Errorf("the key ends at %d; want a ms before dies, %d", got, f.dies)
	}

	c := acquire(t, s, driver.Ask{Seen: r.Version, Lease: time.Hour})
	f = raw()
	expect("Acquire", frame{"z", "0", c.Token[1:], r.Version, f.dies, f.deadline, 60_000, "v"})
	if got := expiry(); got != f.deadline-1 || f.deadline < f.dies {
		t.Errorf("the key ends at %d; want a ms before deadline, %d, which is after dies", got, f.deadline)
	}
	busy := acquire(t, s, driver.Ask{Token: asked + "2", Seen: r.Version})
	if busy.Holder != c.Token[1:] {
		t.Errorf("Holder = %q; want %q", busy.Holder, c.Token[1:])
	}
	expect("a second Acquire", frame{"z", "2", c.Token[1:], r.Version, f.dies, f.deadline, 60_000, "v"})
	if _, err := s.Clear(ctx, key); err != nil {
		t.Fatal(err)
	}
	expect("Clear", frame{"z", "3", c.Token[1:], blank, 0, f.deadline, 0, ""})
	if ok, err := s.Commit(ctx, key, c.Token, minute("w")); ok || err != nil {
		t.Errorf("Commit under a revoked lease = %v, %v; want false", ok, err)
	}
	c = acquire(t, s, driver.Ask{})
	if ok, err := s.Commit(ctx, key, c.Token, driver.Record{Data: []byte("m"), TTL: time.Minute, Tombstone: true}); !ok {
		t.Fatal(err)
	}
	f = raw()
	expect("Commit of a tombstone", frame{"z", "4", blank, c.Token[1:], f.dies, 0, 60_000, "m"})
	must(t, s.Set(ctx, key, driver.Record{TTL: driver.Forever}))
	f = raw()
	expect("Set for ever", frame{"z", "0", blank, f.producer, 0, 0, 0, ""})
}

// A frame that an earlier release has written can be read. A release that changes the layout must
// use another first byte.
func TestFrameOfAnEarlierReleaseIsRead(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), nil))
	ctx := t.Context()
	const producer = "MsZXEA8kG-qI4800000000"
	// dies is the year 3000: 32,503,680,000,000 ms = 0x1D8FDA4CE000. life is 3,600,000 ms =
	// 0x36EE80.
	value := "z0" + blank + producer + "\x1d\x8f\xda\x4c\xe0\x00" + "\x00\x00\x00\x00\x00\x00" +
		"\x00\x00\x00\x36\xee\x80" + "payload"
	must(t, s.Client().Set(ctx, key, value, time.Minute).Err())
	r, err := s.Get(ctx, key)
	if err != nil || string(r.Data) != "payload" || r.Version != producer ||
		r.TTL > time.Minute || r.TTL < 50*time.Second {
		t.Errorf("Get = %+v, %v; want the payload for a minute", r, err)
	}
	if c := acquire(t, s, driver.Ask{}); c.State != driver.Hit || c.Record.Version != producer {
		t.Errorf("Acquire = %+v; want a hit", c)
	}
	tombstone := value[:1] + "4" + value[2:]
	must(t, s.Client().Set(ctx, key, tombstone, time.Minute).Err())
	if _, err := s.Get(ctx, key); !errors.Is(err, driver.ErrMiss) {
		t.Errorf("Get of a tombstone = %v; want ErrMiss", err)
	}
}

// junk is values that no Store has written. Some begin like a frame.
var junk = map[string]string{
	"empty":          "",
	"short":          "junk",
	"letter":         "z",
	"half":           "z0" + blank,
	"long":           strings.Repeat("x", 100),
	"textForLease":   "z" + strings.Repeat("a", 100),
	"textAfterFlags": "z0" + strings.Repeat("a", 100),
	"digits":         "z" + strings.Repeat("0", 100),
	"zeros":          "z0" + strings.Repeat("\x00", 100),
	"lease":          "z0" + "not_a_grant_of_anybody" + blank + strings.Repeat("\x01", 18),
	"farAway":        "z0" + "aaaaaaaaaaaa0123456789" + blank + strings.Repeat("\xff", 18),
}

// A value without a frame is a record without data to readers and to Acquire, and absent to
// everything that writes.
func TestForeignValueIsReadWithoutDataAndOverwritten(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), nil))
	ctx := t.Context()
	for name, bytes := range junk {
		t.Run(name, func(t *testing.T) {
			put := func() { must(t, s.Client().Set(ctx, key, bytes, 0).Err()) }
			put()
			r, err := s.Get(ctx, key)
			if err != nil || len(r.Data) > 0 || r.Version == "" {
				t.Errorf("Get = %+v, %v; want a record without data", r, err)
			}
			if d, err2 := s.GetData(ctx, key); d.Version != r.Version || !errors.Is(err2, err) {
				t.Errorf("GetData = %+v, %v; want the same as Get, %+v, %v", d, err2, r, err)
			}
			for _, seen := range []string{"", r.Version} {
				put()
				c := acquire(t, s, driver.Ask{Seen: seen})
				if seen == "" && bytes != "" { // scripts take an empty value for an absent key
					if c.State != driver.Hit || !c.Whole || c.Record.Version != r.Version || len(c.Record.Data) > 0 {
						t.Errorf("Acquire = %+v; want the record that Get returns", c)
					}
					c = acquire(t, s, driver.Ask{Seen: c.Record.Version})
				}
				if c.State != driver.Won {
					t.Fatalf("Acquire with Seen %q = %v; want won", seen, c.State)
				}
				ok, err := s.Commit(ctx, key, c.Token, minute("v"))
				if r, _ := s.Get(ctx, key); !ok || err != nil || string(r.Data) != "v" {
					t.Errorf("Commit = %v, %v, and Get = %q; want true and v", ok, err, r.Data)
				}
			}
			put()
			if ok, err := s.Add(ctx, key, minute("w")); !ok || err != nil {
				t.Errorf("Add = %v, %v; want true", ok, err)
			}
			put()
			if n, err := s.Delete(ctx, key); n != 0 || err != nil {
				t.Errorf("Delete = %d, %v; want 0", n, err)
			}
		})
	}
}

func TestLoaderCountsForeignValuesAsCorruptAndOverwritesThem(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), nil))
	ctx := t.Context()
	l := zodiac.NewLoader(func(_ context.Context, k string) (string, error) { return "v", nil },
		zodiac.WithName("frame_test"), zodiac.WithTTL(60), zodiac.WithStore(s))
	defer l.Close(ctx)
	_, err := l.Get(ctx, "k")
	must(t, err)
	stored := s.Client().Keys(ctx, "*").Val()
	for _, bytes := range junk {
		before := l.Stats()
		must(t, s.Client().Set(ctx, stored[0], bytes, 0).Err())
		for range 2 {
			if v, err := l.Get(ctx, "k"); v != "v" || err != nil {
				t.Errorf("Get of %q = %q, %v; want v", bytes, v, err)
			}
		}
		after := l.Stats()
		if after.Fetches != before.Fetches+1 || after.HitStore != before.HitStore+1 {
			t.Errorf("%q: %d fetches, %d hits; want one each",
				bytes, after.Fetches-before.Fetches, after.HitStore-before.HitStore)
		}
		if after.Corrupt != before.Corrupt+1 {
			t.Errorf("%q: %d records counted as corrupt; want one", bytes, after.Corrupt-before.Corrupt)
		}
	}
}
