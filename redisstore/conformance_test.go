package redisstore_test

import (
	"testing"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/redisstore"
	"github.com/zodiac-go/zodiac/storetest"
)

// conform runs the suite in real time. A short run leaves that out: the suite takes over ten seconds,
// and TestConformanceInVirtualTime runs it too.
func conform(t *testing.T, open func(*testing.T) driver.Store) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	storetest.Run(t, open)
}

func TestConformanceOfDefaultClient(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, start func(...string) *redistest.Server) {
		server := start()
		conform(t, func(t *testing.T) driver.Store { return store(t, client(t, server, nil)) })
	})
}

func TestConformanceOfOpenedStore(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	conform(t, func(t *testing.T) driver.Store {
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
