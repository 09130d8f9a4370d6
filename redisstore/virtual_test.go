package redisstore_test

import (
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/redisstore"
)

func TestLongPipelinesInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := redisstore.New(redistest.Virtual(t))
		defer s.Close()
		records, keys := map[string]zodiac.Record{}, []string{}
		for i := range 2000 {
			keys = append(keys, "zodiac::users:"+strconv.Itoa(i))
			records[keys[i]] = zodiac.Record{Data: make([]byte, 1000), TTL: zodiac.Forever}
		}
		if err := s.SetMany(t.Context(), records); err != nil {
			t.Fatal(err)
		}
		got, errs := s.GetMany(t.Context(), keys)
		for i := range keys {
			if errs[i] != nil || len(got[i].Data) != 1000 {
				t.Fatalf("GetMany()[%d] = %d bytes, %v; want 1000", i, len(got[i].Data), errs[i])
			}
		}
	})
}
