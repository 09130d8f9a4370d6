package redisstore_test

import (
	"testing"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/redisstore"
	"github.com/zodiac-go/zodiac/storetest"
)

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
