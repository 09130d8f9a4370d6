package redisstore_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/redisstore"
)

// Each Add keeps the time left. Redis rounds it to milliseconds, and a thousand roundings must not
// add up.
func TestCounterLivesAsLongAsGivenHoweverOftenItChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		hits := zodiac.NewCache[string, int64](zodiac.WithName("hits"), zodiac.WithTTL(10),
			zodiac.WithStore(redisstore.New(redistest.Virtual(t))))
		defer hits.Close(ctx)
		const times = 1000
		for range times {
			if _, err := zodiac.Add(ctx, hits, "page", 1); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(4900 * time.Millisecond)
		if n, ok, err := hits.Peek(ctx, "page"); n != times || !ok || err != nil {
			t.Errorf("Peek after 9.9 of 10 seconds = %v, %v, %v; want %v", n, ok, err, times)
		}
		time.Sleep(200 * time.Millisecond)
		if n, ok, _ := hits.Peek(ctx, "page"); ok {
			t.Errorf("Peek after 10.1 of 10 seconds = %v; want nothing", n)
		}
	})
}
