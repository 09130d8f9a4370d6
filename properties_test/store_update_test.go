package properties_test

import (
	"testing"
	"testing/synctest"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/storetest/chaos"
)

// Over a store without leases, Update used to end in ErrBusy if there was a record that was of no use: it tried to add one beside it.
func TestUpdateOverABareStoreReplacesARecordOfNoUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := zodiac.NewCache[string, int](zodiac.WithName("n"), zodiac.WithTags("t"), zodiac.WithStore(chaos.Bare(memstore.New())))
		defer l.Close(bg)
		if err := l.Set(bg, "k", 5); err != nil {
			t.Fatal(err)
		}
		if err := l.DeleteTags(bg, "t"); err != nil {
			t.Fatal(err)
		}
		if n, err := zodiac.Add(bg, l, "k", 3); n != 3 || err != nil {
			t.Errorf("Add = %d, %v; want 3", n, err)
		}
		if n, ok, err := l.Peek(bg, "k"); n != 3 || !ok || err != nil {
			t.Errorf("Peek = %d, %v, %v; want 3", n, ok, err)
		}
	})
}
