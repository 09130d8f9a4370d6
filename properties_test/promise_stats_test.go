package properties_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/zodiac-go/zodiac"
)

// P30: every Get and every fetch ends in exactly one count. Each is tested alone, on a loader of
// its own.
func TestP30_EveryOutcomeCountsOnce(t *testing.T) {
	needsModes(t)
	c := config{
		values: "box", noneIf: true, skipIf: true, ttlFunc: true, validIf: true,
		errorTTL: time.Minute, timeout: time.Hour, tags: []string{"s"},
	}
	one := func(p plan, put ...func(context.Context) context.Context) func(*stage) {
		return func(s *stage) { s.get(key, put...); s.call(key).ends(p) }
	}
	ok := plan{kind: returns, val: value{id: 1}}
	for name, e := range map[string]struct {
		play func(*stage)
		want zodiac.Stats
	}{
		"stored":        {one(ok), zodiac.Stats{Fetched: 1, Stored: 1}},
		"none":          {one(plan{kind: fails, err: errGone}), zodiac.Stats{Fetched: 1, Stored: 1}},
		"skipped":       {one(plan{kind: returns, val: value{id: 3 * 48}}), zodiac.Stats{Fetched: 1, Skipped: 1}},
		"no TTL":        {one(plan{kind: returns, val: value{id: 3}}), zodiac.Stats{Fetched: 1, Skipped: 1}},
		"error":         {one(plan{kind: fails, err: errors.New("down")}), zodiac.Stats{Failed: 1, FetchErrors: 1}},
		"panic":         {one(plan{kind: panics}), zodiac.Stats{Failed: 1, FetchErrors: 1}},
		"panic ErrNone": {one(plan{kind: panicsErr, err: zodiac.ErrNone}), zodiac.Stats{Failed: 1, FetchErrors: 1}},
		"Goexit":        {one(plan{kind: exits}), zodiac.Stats{Failed: 1, FetchErrors: 1}},
		"NoWrite":       {one(ok, underNoWrite), zodiac.Stats{Fetched: 1, Uncached: 1}},
		"Overwrite":     {one(ok, underOverwrite), zodiac.Stats{Fetched: 1, Stored: 1}},
		"Bypass":        {one(ok, underBypass), zodiac.Stats{Bypassed: 1}},
		"ReadOnly":      {func(s *stage) { s.get(key, underReadOnly) }, zodiac.Stats{Missed: 1}},
		"Fetch": {func(s *stage) {
			s.begin("Fetch", func(ctx context.Context) result { return result{err: only(s.Fetch(ctx, key))} })
			s.call(key).ends(ok)
		}, zodiac.Stats{}},
		"hits": {func(s *stage) {
			s.set(key, 1)
			s.get(key)
			s.get(key, underReadOnly)
			s.get(key, underNoWrite)
			s.Peek(bg, key)
			s.Entry(bg, key)
			s.GetMany(bg, []int{key, key, key})
		}, zodiac.Stats{HitMemory: 6}},
		"a None is a hit": {func(s *stage) { s.SetNone(bg, key); s.get(key); s.Peek(bg, key) }, zodiac.Stats{HitMemory: 2}},
		"refused":         {func(s *stage) { s.set(key, 32); s.Peek(bg, key) }, zodiac.Stats{Missed: 1, Invalid: 1}},
		"tag deleted": {func(s *stage) {
			s.set(key, 1)
			s.DeleteTags(bg, "s")
			s.Peek(bg, key)
		}, zodiac.Stats{Missed: 1, Invalid: 1}},
		"shared": {func(s *stage) { s.getters(3); s.call(key).ends(ok) }, zodiac.Stats{Fetched: 1, Shared: 2, Stored: 1}},
		"a shared None": {func(s *stage) {
			s.getters(3)
			s.call(key).fails(errGone)
		}, zodiac.Stats{Fetched: 1, Shared: 2, Stored: 1}},
		"a shared error": {func(s *stage) { s.getters(3); s.call(key).fails(errNotLinked) }, zodiac.Stats{Failed: 3, FetchErrors: 1}},
		"remembered": {func(s *stage) {
			s.get(key)
			s.call(key).fails(errNotLinked)
			s.getters(2)
			s.calls()
		}, zodiac.Stats{Failed: 3, FetchErrors: 1}},
		"left":      {func(s *stage) { s.get(key).leaves(); s.call(key).ends(ok) }, zodiac.Stats{Canceled: 1, Discarded: 1}},
		"discarded": {func(s *stage) { s.get(key); c := s.call(key); s.Delete(bg, key); c.ends(ok) }, zodiac.Stats{Fetched: 1, Discarded: 1}},
		"skipped, discarded": {func(s *stage) {
			s.get(key)
			c := s.call(key)
			s.Delete(bg, key)
			c.ends(plan{kind: returns, val: value{id: 3 * 48}})
		}, zodiac.Stats{Fetched: 1, Discarded: 1}},
		"too slow": {func(s *stage) {
			s.get(key)
			c := s.call(key)
			time.Sleep(time.Hour)
			c.ends(ok)
		}, zodiac.Stats{Failed: 1, Discarded: 1}},
		"two Refreshes": {func(s *stage) {
			s.refresh(key)
			s.refresh(key)
			s.call(key).ends(ok)
			s.call(key).ends(ok)
		}, zodiac.Stats{Fetched: 2, Stored: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			onStage(t, c, func(s *stage) { e.play(s); s.counted(e.want) })
		})
	}
}

var errNotLinked = errors.New("matches nothing")

// P30: a result with too many tags is returned, reported and not stored. It counts as Uncached.
func TestP30_TooManyTagsAreUncached(t *testing.T) {
	var faults []zodiac.Event
	tags := make([]string, 65)
	for i := range tags {
		tags[i] = string(rune('a' + i))
	}
	l := zodiac.NewLoader(func(context.Context, int) (int, error) { return 1, nil },
		zodiac.WithTagsFunc(func(int, int) []string { return tags }),
		zodiac.WithObserver(observer(func(e zodiac.Event) {
			if e.Kind == zodiac.EventFault {
				faults = append(faults, e)
			}
		})))
	if v, err := l.Get(bg, key); v != 1 || err != nil {
		t.Errorf("Get = %v, %v", v, err)
	}
	l.Close(bg) // the Observer has been told
	if st := l.Stats(); st.Uncached != 1 || st.Fetches != 1 || st.Size != 0 || len(faults) != 1 || faults[0].Key != key {
		t.Errorf("%+v, faults %v", st, faults)
	}
}

type observer func(zodiac.Event)

func (o observer) Observe(_ context.Context, e zodiac.Event) { o(e) }

// P30: ErrClosed and keys without text count nowhere; see also TestP28_KeysWithoutTextAndOfOneText
// and TestP29_AfterCloseEverythingIsErrClosed.
