package redisstore_test

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/redisstore"
	"github.com/zodiac-go/zodiac/storetest"
)

// client returns a client of a server, which is closed with the test.
func client(t testing.TB, server *redistest.Server, change func(*redis.Options)) *redis.Client {
	t.Helper()
	o := &redis.Options{Addr: server.Addr()}
	if change != nil {
		change(o)
	}
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// store returns a Store on an empty database of a server.
func store(t testing.TB, c redis.UniversalClient) *redisstore.Store {
	t.Helper()
	if err := c.FlushDB(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
	s := redisstore.New(c)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestConformanceOfDefaultClient(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	storetest.Run(t, func(t *testing.T) driver.Store { return store(t, client(t, server, nil)) })
}

func TestConformanceOfOpenedStore(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	storetest.Run(t, func(t *testing.T) driver.Store {
		s, err := redisstore.Open("redis://" + server.Addr() + "?protocol=2")
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

func TestConformanceInVirtualTime(t *testing.T) {
	storetest.RunVirtual(t, func(t *testing.T) driver.Store { return redisstore.New(redistest.Virtual(t)) })
}
