package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/redisstore"
)

// A tear is a Store, and a hook of its client that calls a function between the PTTL and the GET of
// a read. Other clients can change the key at that moment.
type tear struct {
	s  *redisstore.Store
	do func() // for the next read; nil afterwards
}

// newTear returns a tear with a client of its own.
func newTear(t *testing.T, server *redistest.Server) *tear {
	t.Helper()
	b := &tear{}
	c := client(t, server, func(o *redis.Options) { o.ContextTimeoutEnabled = true })
	c.AddHook(b)
	b.s = redisstore.New(c)
	return b
}

// read calls Get, and do in the middle of it.
func (b *tear) read(t *testing.T, do func()) (driver.Record, error) {
	t.Helper()
	b.do = do
	r, err := b.s.Get(t.Context(), key)
	if b.do != nil {
		t.Fatal("Get has sent no PTTL and GET")
	}
	return r, err
}

// readMany calls GetMany, and do in the middle of it.
func (b *tear) readMany(t *testing.T, do func()) ([]driver.Record, []error) {
	t.Helper()
	b.do = do
	return b.s.GetMany(t.Context(), []string{key})
}

func (b *tear) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (b *tear) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (b *tear) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		do := b.do
		if do == nil || cmds[0].Name() != "pttl" {
			return next(ctx, cmds)
		}
		b.do = nil
		if err := next(ctx, cmds[:1]); err != nil {
			return err
		}
		do()
		return next(ctx, cmds[1:])
	}
}

// A key that has a record before and after a change is never a miss, and never seems to have too
// little time left.
func TestRecordThatChangesDuringAReadIsFound(t *testing.T) {
	server := redistest.Start(t)
	s := store(t, client(t, server, nil))
	torn := newTear(t, server)
	ctx := t.Context()
	forever := driver.Record{Data: []byte("v"), TTL: driver.Forever}
	short := driver.Record{Data: []byte("v"), TTL: 5 * time.Second}
	var c driver.Claim
	for name, tt := range map[string]struct {
		before, between func()
		left            time.Duration
	}{
		"while a Set gives it an end": {
			func() { must(t, s.Set(ctx, key, forever)) },
			func() { must(t, s.Set(ctx, key, minute("v"))) },
			time.Minute,
		},
		"while Expire gives it an end": {
			func() { must(t, s.Set(ctx, key, forever)) },
			func() { _, err := s.Expire(ctx, key, time.Minute); must(t, err) },
			time.Minute,
		},
		"while a lease is granted that ends later": {
			func() { must(t, s.Set(ctx, key, short)) },
			func() {
				r, err := s.Get(ctx, key)
				must(t, err)
				acquire(t, s, driver.Ask{Seen: r.Version, Lease: 20 * time.Second})
			},
			short.TTL,
		},
		"while a lease is renewed": {
			func() {
				must(t, s.Set(ctx, key, short))
				r, err := s.Get(ctx, key)
				must(t, err)
				c = acquire(t, s, driver.Ask{Seen: r.Version})
			},
			func() { _, err := s.Renew(ctx, key, c.Token, 20*time.Second); must(t, err) },
			short.TTL,
		},
		"while it is committed": {
			func() { must(t, s.Client().Del(ctx, key).Err()); c = acquire(t, s, driver.Ask{}) },
			func() { _, err := s.Commit(ctx, key, c.Token, minute("v")); must(t, err) },
			time.Minute,
		},
		"while it is committed for ever": {
			func() { must(t, s.Client().Del(ctx, key).Err()); c = acquire(t, s, driver.Ask{}) },
			func() { _, err := s.Commit(ctx, key, c.Token, forever); must(t, err) },
			driver.Forever,
		},
	} {
		tt.before()
		if r, err := torn.read(t, tt.between); err != nil || r.TTL > tt.left || r.TTL < tt.left-2*time.Second {
			t.Errorf("Get %s = %v left, %v; want %v", name, r.TTL, err, tt.left)
		}
		tt.before()
		many, errs := torn.readMany(t, tt.between)
		if r, err := many[0], errs[0]; err != nil || r.TTL > tt.left || r.TTL < tt.left-2*time.Second {
			t.Errorf("GetMany %s = %v left, %v; want %v", name, r.TTL, err, tt.left)
		}
	}
}

func TestGetManyDataOfManyKeysIsGetDataOfEach(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), func(o *redis.Options) { o.ContextTimeoutEnabled = true }))
	ctx := t.Context()
	var keys []string
	for i := range 600 { // more than one MGET takes
		key := fmt.Sprint("zodiac::many:", i)
		keys = append(keys, key)
		switch i % 6 {
		case 0, 1:
			must(t, s.Set(ctx, key, minute(key)))
		case 2:
			must(t, s.Client().Set(ctx, key, "foreign", 0).Err())
		case 3:
			must(t, s.Client().RPush(ctx, key, "a list").Err())
		case 4:
			c, err := s.Acquire(ctx, key, driver.Ask{Token: fmt.Sprintf("token-of-%010d", i), Lease: time.Minute})
			if err != nil || c.State != driver.Won {
				t.Fatalf("Acquire() = %v, %v", c.State, err)
			}
		}
	}
	_, _ = s.GetManyData(ctx, keys) // the client has a connection for pipelines now
	commands, trips := spent(t, s, func() {
		records, errs := s.GetManyData(ctx, keys)
		for i, key := range keys {
			want, wantErr := s.GetData(ctx, key)
			if i%6 == 3 { // MGET does not tell other types from absent keys; Acquire does
				want, wantErr = driver.Record{}, driver.ErrMiss
			}
			if !reflect.DeepEqual(records[i], want) || !errors.Is(errs[i], wantErr) {
				t.Errorf("GetManyData()[%d] = %v, %v; want as GetData, %v, %v", i, records[i], errs[i], want, wantErr)
			}
		}
	})
	if commands["mget"] != 3 || trips != 1+len(keys) {
		t.Errorf("%d MGETs in %d round trips; want 3 in %d", commands["mget"], trips, 1+len(keys))
	}
}

// A client that knows of no Cluster can use a node that has all slots. The node refuses an MGET
// whose keys are in several slots.
func TestGetManyDataFromANodeThatHasAllSlots(t *testing.T) {
	s := store(t, client(t, redistest.Start(t, "--cluster-enabled", "yes"), nil))
	ctx := t.Context()
	must(t, s.Client().Do(ctx, "cluster", "addslotsrange", 0, 16383).Err())
	for !strings.Contains(s.Client().ClusterInfo(ctx).Val(), "cluster_state:ok") {
		time.Sleep(time.Millisecond)
	}
	keys := []string{"a", "b", "c"}
	must(t, s.Set(ctx, "a", minute("1")))
	must(t, s.Set(ctx, "c", minute("3")))
	for range 2 {
		records, errs := s.GetManyData(ctx, keys)
		if string(records[0].Data) != "1" || string(records[2].Data) != "3" ||
			errs[0] != nil || !errors.Is(errs[1], driver.ErrMiss) || errs[2] != nil {
			t.Errorf("GetManyData = %v, %v; want 1, a miss and 3", records, errs)
		}
	}
}

// A proxy is a hook that answers an MGET with values of its own, as something between the client
// and the server may do.
type proxy struct{ values []any }

func (proxy) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (proxy) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (p proxy) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		mget, ok := cmds[0].(*redis.SliceCmd)
		if !ok {
			return next(ctx, cmds)
		}
		mget.SetVal(p.values)
		return nil
	}
}

func TestFailureInTheReplyOfAnMGETIsNoMiss(t *testing.T) {
	failed := errors.New("upstream failure")
	const errReply = "redisstore: the server's reply has an unexpected form"
	for _, tt := range []struct {
		values []any
		want   [2]string
	}{
		{[]any{failed, nil}, [2]string{"upstream failure", "miss"}},
		{nil, [2]string{errReply, errReply}},
	} {
		c := redistest.Virtual(t)
		c.AddHook(proxy{tt.values})
		_, errs := redisstore.New(c).GetManyData(t.Context(), []string{"a", "b"})
		for i, want := range tt.want {
			if errs[i] == nil || !strings.Contains(errs[i].Error(), want) {
				t.Errorf("error of key %d in %v = %v; want %q", i, tt.values, errs[i], want)
			}
		}
	}
}
