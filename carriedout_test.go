package zodiac_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/storetest/chaos"
)

// writesOf are the methods that write, by name, and the value that "k" has afterwards, or "" if it
// has none. Before, it has "old" under the tag "tag".
var writesOf = map[string]struct {
	call func(ctx context.Context, c *zodiac.Cache[string, string]) error
	want string
}{
	"Set": {func(ctx context.Context, c *zodiac.Cache[string, string]) error { return c.Set(ctx, "k", "new") }, "new"},
	"SetTagged": {func(ctx context.Context, c *zodiac.Cache[string, string]) error {
		return c.Set(ctx, "k", "new", zodiac.WithTags("another"))
	}, "new"},
	"SetMany": {func(ctx context.Context, c *zodiac.Cache[string, string]) error {
		return c.SetMany(ctx, map[string]string{"k": "new", "l": "new"})
	}, "new"},
	"SetNone": {func(ctx context.Context, c *zodiac.Cache[string, string]) error { return c.SetNone(ctx, "k") }, ""},
	"Touch": {func(ctx context.Context, c *zodiac.Cache[string, string]) error {
		there, err := c.Touch(ctx, "k", zodiac.WithTTL(600))
		if e, _, _ := c.Entry(context.Background(), "k"); err == nil && (!there || e.Left < time.Minute) {
			return errors.New("the entry has its old life")
		}
		return err
	}, "old"},
	"Delete": {func(ctx context.Context, c *zodiac.Cache[string, string]) error {
		n, err := c.Delete(ctx, "k", "l")
		if err == nil && n != 1 {
			return errors.New("it has counted " + strconv.Itoa(n))
		}
		return err
	}, ""},
	"DeleteTags": {func(ctx context.Context, c *zodiac.Cache[string, string]) error { return c.DeleteTags(ctx, "tag") }, ""},
	"Clear":      {func(ctx context.Context, c *zodiac.Cache[string, string]) error { return only(c.Clear(ctx)) }, ""},
}

func only[T any](_ T, err error) error { return err }

func TestWriteIsCarriedOutThoughTheClientHasHungUp(t *testing.T) {
	for place, wrap := range map[string]func(*chaos.Injector) []zodiac.Option{
		"memory": func(*chaos.Injector) []zodiac.Option { return nil },
		"store":  func(m *chaos.Injector) []zodiac.Option { return []zodiac.Option{zodiac.WithStore(m.Store())} },
		"bare": func(m *chaos.Injector) []zodiac.Option {
			return []zodiac.Option{zodiac.WithStore(chaos.Bare(m.Store()))}
		},
		"near": func(m *chaos.Injector) []zodiac.Option {
			return []zodiac.Option{zodiac.WithStore(m.Store()), zodiac.WithMemory(30)}
		},
	} {
		for when, leaves := range map[string]bool{"before": false, "meanwhile": true} {
			for name, write := range writesOf {
				t.Run(place+"/"+when+"/"+name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						store := memstore.New()
						defer store.Close()
						m := chaos.New(store)
						c := zodiac.NewCache[string, string](append(wrap(m), zodiac.WithName("c"), zodiac.WithTTL(60))...)
						defer c.Close(context.Background())
						must(t, c.Set(t.Context(), "k", "old", zodiac.WithTags("tag")))
						c.Peek(t.Context(), "k")
						ctx, hangUp := context.WithCancel(t.Context())
						if !leaves {
							hangUp()
						}
						m.Observe(func(chaos.Call) {
							hangUp()
							m.Delay(time.Millisecond)
						})
						err := write.call(ctx, c)
						m.Observe(nil)
						v, ok, peekErr := c.Peek(t.Context(), "k")
						if err != nil || v != write.want || ok == (write.want == "" && name != "SetNone") {
							t.Errorf("error = %v, Peek = %q, %v, %v; want nil, %q", err, v, ok, peekErr, write.want)
						}
					})
				})
			}
		}
	}
}
