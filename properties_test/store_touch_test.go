package properties_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/memstore"
)

// Over a store, Touch used to give a None the life of a value, and to ask WithTTLFunc about a value that is not there.
func TestTouchOverAStoreGivesANoneTheLifeOfANone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := zodiac.NewCache[string, int64](zodiac.WithName("n"), zodiac.WithTTL(60), zodiac.NoneIf(zodiac.ErrNone), zodiac.WithNoneTTL(5), zodiac.WithStore(memstore.New()),
			zodiac.WithTTLFunc(func(_ string, n int64) time.Duration {
				t.Errorf("WithTTLFunc was asked about %d", n)
				return time.Minute
			}))
		defer l.Close(bg)
		if err := l.SetNone(bg, "k"); err != nil {
			t.Fatal(err)
		}
		if ok, err := l.Touch(bg, "k"); !ok || err != nil {
			t.Errorf("Touch = %v, %v", ok, err)
		}
		if e, ok, _ := l.Entry(bg, "k"); !ok || e.Left != 5*time.Second {
			t.Errorf("Entry = %+v, %v; want 5s left", e, ok)
		}
	})
}
