package redisstore_test

import (
	"errors"
	"maps"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/redistest"
)

func TestHitIsOneRoundTripAndMissIsThree(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), func(o *redis.Options) { o.ContextTimeoutEnabled = true }))
	ctx := t.Context()
	miss := func() {
		if _, err := s.GetData(ctx, key); !errors.Is(err, driver.ErrMiss) {
			t.Errorf("GetData = %v; want ErrMiss", err)
		}
		c := acquire(t, s, driver.Ask{})
		if ok, err := s.Commit(ctx, key, c.Token, minute("v")); !ok || err != nil {
			t.Errorf("Commit = %v, %v", ok, err)
		}
	}
	miss() // afterwards the server knows the scripts, the Store knows the version,
	must(t, s.Client().Del(ctx, key).Err())
	_, _ = s.Get(ctx, key) // and the client has a connection for pipelines
	hit := func() { _, err := s.GetData(ctx, key); must(t, err) }
	hits := func() { _, errs := s.GetManyData(ctx, []string{key, key}); must(t, errors.Join(errs...)) }
	exact := func() { _, err := s.Get(ctx, key); must(t, err) }
	for _, tt := range []struct {
		name  string
		do    func()
		trips int
		want  map[string]int
	}{
		{"miss", miss, 3, map[string]int{
			"get": 1, "evalsha": 2, "time": 2, "getrange": 2, "set": 2, "setrange": 1, "pexpireat": 2,
		}},
		{"hit", hit, 1, map[string]int{"get": 1}},
		{"batch hit", hits, 1, map[string]int{"mget": 1}},
		{"hit with the time left", exact, 1, map[string]int{"pttl": 1, "get": 1}},
	} {
		if got, trips := spent(t, s, tt.do); !maps.Equal(got, tt.want) || trips != tt.trips {
			t.Errorf("a %s sent %v in %d round trips; want %v in %d", tt.name, got, trips, tt.want, tt.trips)
		}
	}
}

func TestScriptFlushIsNotNoticed(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), nil))
	ctx := t.Context()
	records := map[string]driver.Record{"zodiac::a": minute("1"), "zodiac::b": minute("2"), "zodiac::c": minute("3")}
	for range 2 {
		must(t, s.Client().ScriptFlush(ctx).Err())
		must(t, s.Set(ctx, key, minute("v")))
		must(t, s.Client().ScriptFlush(ctx).Err())
		must(t, s.SetMany(ctx, records))
		must(t, s.Client().ScriptFlush(ctx).Err())
		if n, err := s.Delete(ctx, key, "zodiac::a", "zodiac::b", "zodiac::none"); n != 3 || err != nil {
			t.Errorf("Delete = %d, %v; want 3", n, err)
		}
	}
	if r, err := s.Get(ctx, "zodiac::c"); string(r.Data) != "3" {
		t.Errorf("Get = %q, %v; want 3", r.Data, err)
	}
}

// A late copy of a command finds the record that the first one stored, or finds that its lease is
// over. Neither changes anything.
func TestLateCopiesOfAddAndCommitStoreNothing(t *testing.T) {
	server := redistest.Start(t)
	var last []any
	c := client(t, server, nil)
	c.AddHook(&tap{func(cmd redis.Cmder) {
		if cmd.Name() == "eval" || cmd.Name() == "evalsha" {
			last = cmd.Args()
		}
	}})
	s := store(t, c)
	ctx := t.Context()
	copied := func() any {
		v, err := client(t, server, nil).Do(ctx, last...).Slice()
		must(t, err)
		return v[0]
	}
	if ok, err := s.Add(ctx, key, minute("v")); !ok {
		t.Fatal(err)
	}
	if got := copied(); got != int64(1) {
		t.Errorf("a copy of Add replies %v; want 1, since its record is there", got)
	}
	if ok, _ := s.Add(ctx, key, minute("w")); ok {
		t.Error("Add over a record = true; want false")
	}
	grant := acquire(t, s, driver.Ask{Force: true})
	if ok, err := s.Commit(ctx, key, grant.Token, minute("x")); !ok {
		t.Fatal(err)
	}
	commit := last
	must(t, s.Set(ctx, key, minute("newer")))
	last = commit
	if got := copied(); got != int64(0) {
		t.Errorf("a late copy of Commit replies %v; want 0", got)
	}
	if r, _ := s.Get(ctx, key); string(r.Data) != "newer" {
		t.Errorf("Get after a late copy of Commit = %q; want newer", r.Data)
	}
}
