package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/redisstore"
)

// A spy is a hook that counts commands, and calls a function before the script of a step.
type spy struct {
	sent   atomic.Int64
	at     step
	before func() // nil = it was called
}

// A step is when, during a Get, somebody else changes the key.
type step string

const (
	beforeRead    step = "BeforeTheRead"
	beforeAcquire step = "BeforeAcquire"
	duringFetch   step = "DuringTheFetch"
	beforeCommit  step = "BeforeCommit"
)

var steps = []step{beforeRead, beforeAcquire, duringFetch, beforeCommit}

// reached calls the function of the step, once.
func (h *spy) reached(at step) {
	if do := h.before; do != nil && h.at == at {
		h.before = nil
		do()
	}
}

func (h *spy) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *spy) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		h.sent.Add(1)
		if strings.HasPrefix(cmd.Name(), "eval") {
			switch len(cmd.Args()) - 4 {
			case 5:
				h.reached(beforeAcquire)
			case 6:
				h.reached(beforeCommit)
			}
		}
		return next(ctx, cmd)
	}
}

func (h *spy) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		h.sent.Add(int64(len(cmds)))
		return next(ctx, cmds)
	}
}

// A bench is a loader over a key that others change.
type bench struct {
	*zodiac.Loader[string, string]
	spy     *spy
	raw     *redis.Client // of somebody else
	pad     string        // behind every value
	fetches atomic.Int64
	name    string
	keys    int
	old     string // what the store has for a value "old" that lives for a minute
}

// newBench returns a bench. Its loader needs the time left of each record if left is true.
func newBench(t *testing.T, server *redistest.Server, pad int, left bool) *bench {
	t.Helper()
	b := &bench{
		spy: &spy{}, raw: client(t, server, nil), pad: strings.Repeat(".", pad), name: fmt.Sprintf("size-%d-left-%v", pad, left),
	}
	c := client(t, server, func(o *redis.Options) { o.ContextTimeoutEnabled = true })
	c.AddHook(b.spy)
	opts := []zodiac.Option{
		zodiac.WithName(b.name), zodiac.WithTTL(60), zodiac.WithStore(redisstore.New(c)),
		zodiac.WithWait(100*time.Millisecond, zodiac.ThenFetch), zodiac.WithLogger(slog.New(slog.DiscardHandler)),
	}
	if left {
		opts = append(opts, zodiac.ValidIf(func(string, zodiac.Entry[string]) bool { return true }))
	}
	b.Loader = zodiac.NewLoader(func(context.Context, string) (string, error) {
		b.fetches.Add(1)
		b.spy.reached(duringFetch)
		return "new" + b.pad, nil
	}, opts...)
	t.Cleanup(func() { b.Close(context.Background()) })
	must(t, b.Set(t.Context(), "template", "old"+b.pad))
	b.old = b.raw.Get(t.Context(), b.storeKey("template")).Val()
	return b
}

func (b *bench) storeKey(k string) string { return "zodiac::" + b.name + ":" + k }

// next returns a key that was never used, and the store's key.
func (b *bench) next() (k, storeKey string) {
	b.keys++
	k = fmt.Sprint("k", b.keys)
	return k, b.storeKey(k)
}

// get gets k. Whatever the store holds, that takes a handful of commands, and pauses if it waits.
func (b *bench) get(t *testing.T, what, k string) (hit bool, stats zodiac.Stats) {
	t.Helper()
	b.spy.sent.Store(0)
	start := time.Now()
	ctx, collected := zodiac.CollectStats(t.Context())
	v, err := b.Get(ctx, k)
	if err != nil || v != "old"+b.pad && v != "new"+b.pad {
		t.Errorf("%s: Get = %.20q, %v; want old or new", what, v, err)
	}
	if n, d := b.spy.sent.Load(), time.Since(start); n > 10+int64(d/(5*time.Millisecond)) {
		t.Errorf("%s: Get has sent %d commands in %v; want a handful", what, n, d)
	}
	stats = collected()
	return stats.HitStore > 0, stats
}

// settles gets k until the store has a usable record, which takes a fetch or two.
func (b *bench) settles(t *testing.T, what, k string, gets int) {
	t.Helper()
	for range gets {
		if hit, _ := b.get(t, what, k); hit {
			return
		}
	}
	t.Errorf("%s: no hit by %d Gets; want what cannot be used replaced", what, gets)
}

// fields returns value with other fields in its frame.
func fields(value string, change func(f *frame)) string {
	f := frame{
		value[:1], value[1:2], value[2:24], value[24:46],
		sixBytes(value[46:52]), sixBytes(value[52:58]), sixBytes(value[58:64]), value[64:],
	}
	change(&f)
	return f.format + f.flags + f.lease + f.producer + inSix(f.dies) + inSix(f.deadline) + inSix(f.life) + f.payload
}

func sixBytes(s string) (n int64) {
	for _, b := range []byte(s) {
		n = n<<8 | int64(b)
	}
	return n
}

func inSix(n int64) string {
	var b [6]byte
	for i := range b {
		b[5-i] = byte(n >> (8 * i))
	}
	return string(b[:])
}

const grantOfNobody = "abcdefghijkl0123456789"

func in(d time.Duration) int64 { return time.Now().Add(d).UnixMilli() }

// foreignTypes are values that are no strings.
var foreignTypes = map[string]func(ctx context.Context, c *redis.Client, key string) error{
	"list": func(ctx context.Context, c *redis.Client, key string) error { return c.RPush(ctx, key, "a", "b").Err() },
	"hash": func(ctx context.Context, c *redis.Client, key string) error { return c.HSet(ctx, key, "a", "b").Err() },
	"set":  func(ctx context.Context, c *redis.Client, key string) error { return c.SAdd(ctx, key, "a").Err() },
	"zset": func(ctx context.Context, c *redis.Client, key string) error {
		return c.ZAdd(ctx, key, redis.Z{Member: "a"}).Err()
	},
	"stream": func(ctx context.Context, c *redis.Client, key string) error {
		return c.XAdd(ctx, &redis.XAddArgs{Stream: key, Values: []any{"a", "b"}}).Err()
	},
}

// benches runs a test on loaders that read in different ways, and with records that a script returns
// or leaves out.
func benches(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	server := redistest.Start(t)
	for _, pad := range []int{0, 20_000} {
		for _, left := range []bool{false, true} {
			t.Run(fmt.Sprintf("size=%d/left=%v", pad, left), func(t *testing.T) {
				t.Parallel()
				test(t, newBench(t, server, pad, left))
			})
		}
	}
}

// A Refresh holds a lease that ends later than the record, and somebody gives the key less time than
// either. One Get sent thousands of commands.
func TestExpiryOfAKeyIsCutUnderALongLease(t *testing.T) {
	benches(t, func(t *testing.T, b *bench) {
		for _, cut := range []time.Duration{time.Second, 3 * time.Second, 30 * time.Second} {
			k, key := b.next()
			must(t, b.raw.Set(t.Context(), key, fields(b.old, func(f *frame) {
				f.lease, f.dies, f.deadline, f.life = grantOfNobody, in(10*time.Second), in(time.Minute), 10_000
			}), time.Minute).Err())
			must(t, b.raw.PExpire(t.Context(), key, cut).Err())
			for range 3 {
				if hit, _ := b.get(t, fmt.Sprint("cut to ", cut), k); !hit {
					t.Errorf("cut to %v: Get is no hit; want the record that is there", cut)
				}
			}
			if left := b.raw.PTTL(t.Context(), key).Val(); left > cut {
				t.Errorf("cut to %v: the key has %v left; want no more than it was given", cut, left)
			}
		}
	})
}

func TestForeignTypeIsCountedAsCorruptAndReplaced(t *testing.T) {
	server := redistest.Start(t)
	b := newBench(t, server, 0, false)
	ctx := t.Context()
	for name, put := range foreignTypes {
		for what, read := range map[string]func(ctx context.Context, k string) error{
			"Get":  func(ctx context.Context, k string) error { _, err := b.Get(ctx, k); return err },
			"Peek": func(ctx context.Context, k string) error { _, _, err := b.Peek(ctx, k); return err },
			"Entry": func(ctx context.Context, k string) error {
				_, _, err := b.Entry(ctx, k)
				return err
			},
			"GetMany": func(ctx context.Context, k string) error {
				_, err := b.GetMany(ctx, []string{k, "template"})
				return err
			},
		} {
			k, key := b.next()
			must(t, put(ctx, b.raw, key))
			ctx, stats := zodiac.CollectStats(ctx)
			if err := read(ctx, k); err != nil || stats().Corrupt != 1 {
				t.Errorf("%s of a %s: %v, %d records counted as corrupt; want one", what, name, err, stats().Corrupt)
			}
			b.settles(t, what+" of a "+name, k, 2)
		}
		for what, write := range map[string]struct {
			do   func(k string) (bool, error)
			want bool
		}{
			"Set":         {func(k string) (bool, error) { return true, b.Set(ctx, k, "new") }, true},
			"SetIfAbsent": {func(k string) (bool, error) { return b.SetIfAbsent(ctx, k, "new") }, true},
			"Touch":       {func(k string) (bool, error) { return b.Touch(ctx, k) }, false},
			"Update": {func(k string) (bool, error) {
				_, err := b.Update(ctx, k, func(_ string, ok bool) (string, error) { return "new", nil })
				return true, err
			}, true},
			"Refresh": {func(k string) (bool, error) { _, err := b.Refresh(ctx, k); return true, err }, true},
			"Delete":  {func(k string) (bool, error) { n, err := b.Delete(ctx, k); return n > 0, err }, false},
		} {
			k, key := b.next()
			must(t, put(ctx, b.raw, key))
			if ok, err := write.do(k); ok != write.want || err != nil {
				t.Errorf("%s over a %s = %v, %v; want %v", what, name, ok, err, write.want)
			}
			_, there, err := b.Peek(ctx, k)
			if there != write.want || err != nil {
				t.Errorf("Peek after %s over a %s = %v, %v; want %v", what, name, there, err, write.want)
			}
			if what == "Delete" && b.raw.Exists(ctx, key).Val() != 0 {
				t.Errorf("the %s is there after Delete", name)
			}
		}
	}
}

// hands are what somebody else may do to a key.
func (b *bench) hands(dump string) map[string]func(ctx context.Context, key string) error {
	hands := map[string]func(ctx context.Context, key string) error{
		"nothing":      func(context.Context, string) error { return nil },
		"expireLater":  func(ctx context.Context, key string) error { return b.raw.Expire(ctx, key, time.Hour).Err() },
		"expireSooner": func(ctx context.Context, key string) error { return b.raw.PExpire(ctx, key, 3*time.Second).Err() },
		"expireSoon":   func(ctx context.Context, key string) error { return b.raw.PExpire(ctx, key, 30*time.Millisecond).Err() },
		"persist":      func(ctx context.Context, key string) error { return b.raw.Persist(ctx, key).Err() },
		"delete":       func(ctx context.Context, key string) error { return b.raw.Del(ctx, key).Err() },
		"restore":      func(ctx context.Context, key string) error { return b.raw.RestoreReplace(ctx, key, 0, dump).Err() },
		"restoreSooner": func(ctx context.Context, key string) error {
			return b.raw.RestoreReplace(ctx, key, time.Second, dump).Err()
		},
		"renameAway": func(ctx context.Context, key string) error {
			if err := b.raw.Rename(ctx, key, key+":elsewhere").Err(); err != nil && err.Error() != "ERR no such key" {
				return err
			}
			return nil
		},
		"anotherType": func(ctx context.Context, key string) error {
			return errors.Join(b.raw.Del(ctx, key).Err(), b.raw.RPush(ctx, key, "a", "b").Err())
		},
		"renameHere": func(ctx context.Context, key string) error {
			value := fields(b.old, func(f *frame) { f.lease, f.deadline = grantOfNobody, in(30*time.Millisecond) })
			return errors.Join(b.raw.Set(ctx, key+":other", value, time.Minute).Err(), b.raw.Rename(ctx, key+":other", key).Err())
		},
	}
	return hands
}

// contents are what a key may hold, with the key's time to live.
func (b *bench) contents() map[string]func() (string, time.Duration) {
	const soon = 30 * time.Millisecond
	record := func(change func(f *frame), ttl time.Duration) func() (string, time.Duration) {
		return func() (string, time.Duration) {
			return fields(b.old, func(f *frame) {
				f.dies, f.life = in(time.Minute), 60_000
				change(f)
			}), ttl
		}
	}
	return map[string]func() (string, time.Duration){
		"nothing":     func() (string, time.Duration) { return "", -1 },
		"record":      record(func(*frame) {}, time.Minute),
		"forever":     record(func(f *frame) { f.dies, f.life = 0, 0 }, 0),
		"leased":      record(func(f *frame) { f.lease, f.deadline = grantOfNobody, in(soon) }, time.Minute),
		"leaseLater":  record(func(f *frame) { f.lease, f.dies, f.deadline, f.life = grantOfNobody, in(soon), in(2*soon), 80 }, 2*soon),
		"placeholder": record(func(f *frame) { *f = frame{"z", "0", grantOfNobody, blank, 0, in(soon), 0, ""} }, soon),
		"revoked":     record(func(f *frame) { *f = frame{"z", "3", grantOfNobody, blank, 0, in(soon), 0, ""} }, soon),
		"tombstone":   record(func(f *frame) { f.flags = "4" }, time.Minute),
		"ended":       record(func(f *frame) { f.dies = in(-time.Millisecond) }, 0),
	}
}

func (b *bench) put(t *testing.T, key string, content func() (string, time.Duration)) {
	t.Helper()
	if value, ttl := content(); ttl >= 0 {
		must(t, b.raw.Set(t.Context(), key, value, ttl).Err())
	}
}

// Somebody else changes the key at each step of a Get.
func TestForeignHandAtEachStepOfAGet(t *testing.T) {
	benches(t, func(t *testing.T, b *bench) {
		_, key := b.next()
		b.put(t, key, b.contents()["leased"])
		dump := b.raw.Dump(t.Context(), key).Val()
		for content, put := range b.contents() {
			for hand, do := range b.hands(dump) {
				for _, at := range steps {
					k, key := b.next()
					what := fmt.Sprintf("%s, %s %s", content, hand, at)
					b.put(t, key, put)
					b.spy.at, b.spy.before = at, func() { must(t, do(context.Background(), key)) }
					b.spy.reached(beforeRead)
					b.get(t, what, k)
					b.spy.before = nil
					b.settles(t, what, k, 3)
				}
			}
		}
	})
}

// Each field of a frame is 0, or as large as it can be, or contradicts the others.
func TestFrameWhoseFieldsContradictEachOther(t *testing.T) {
	const soon = 30 * time.Millisecond
	benches(t, func(t *testing.T, b *bench) {
		times := map[string]func() int64{
			"zero": func() int64 { return 0 }, "one": func() int64 { return 1 },
			"past": func() int64 { return in(-time.Millisecond) }, "soon": func() int64 { return in(soon) },
			"later": func() int64 { return in(time.Hour) }, "largest": func() int64 { return 1<<45 - 1 }, "foreign": func() int64 { return 1<<48 - 1 },
		}
		check := func(what string, ttl time.Duration, change func(f *frame)) {
			k, key := b.next()
			value := fields(b.old, func(f *frame) {
				f.dies, f.life = in(time.Minute), 60_000
				change(f)
			})
			must(t, b.raw.Set(t.Context(), key, value, ttl).Err())
			b.settles(t, fmt.Sprintf("%s, %v left", what, ttl), k, 3)
		}
		for _, ttl := range []time.Duration{0, 3 * time.Second, time.Minute, time.Hour} {
			for name, at := range times {
				for _, lease := range []string{blank, grantOfNobody} {
					leased := func(f *frame) {
						if f.lease = lease; lease != blank {
							f.deadline = in(soon)
						}
					}
					check("dies "+name, ttl, func(f *frame) { leased(f); f.dies = at() })
					check("life "+name, ttl, func(f *frame) { leased(f); f.life = at() })
					check("dies and life "+name, ttl, func(f *frame) { leased(f); f.dies, f.life = at(), at() })
					if name != "later" { // a lease that may be live
						check("deadline "+name, ttl, func(f *frame) { leased(f); f.deadline = at() })
						check("all "+name, ttl, func(f *frame) { leased(f); f.dies, f.life, f.deadline = at(), at(), at() })
						check("placeholder until "+name, ttl, func(f *frame) { leased(f); f.producer, f.deadline, f.payload = blank, at(), "" })
					}
				}
			}
			for flags := range 8 {
				for _, lease := range []string{blank, grantOfNobody} {
					check(fmt.Sprint("flags ", flags), ttl, func(f *frame) {
						f.flags, f.lease, f.deadline = fmt.Sprint(flags), lease, in(soon)
					})
				}
			}
		}
	})
}

// Each bit of frame and record is flipped.
func TestFlippedBitOfFrameOrRecord(t *testing.T) {
	server, stride := redistest.Start(t), 1
	if testing.Short() {
		stride = 7
	}
	for _, left := range []bool{false, true} {
		b := newBench(t, server, 0, left)
		for name, lease := range map[string]string{"record": blank, "leased": grantOfNobody} {
			for bit := 0; bit < 8*len(b.old); bit += stride {
				k, key := b.next()
				value := []byte(fields(b.old, func(f *frame) {
					f.dies, f.life = in(time.Minute), 60_000
					if f.lease = lease; lease != blank {
						f.deadline = in(20 * time.Millisecond)
					}
				}))
				value[bit/8] ^= 1 << (bit % 8)
				must(t, b.raw.Set(t.Context(), key, value, time.Minute).Err())
				what := fmt.Sprintf("bit %d of byte %d of a %s", bit%8, bit/8, name)
				b.settles(t, what, k, 3)
			}
		}
	}
}
