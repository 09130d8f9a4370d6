// What FEATURES asks of a loader, and the tests that fail without it. Tests are beside the file
// that keeps the promise (loader.go: loader_test.go); those below had no better place, and are
// followed by what all tests use.
//
//	A1 typed loader around a function     TestGetCachesWhatTheFunctionReturns, TestGetHasTheSignatureOfTheFunction, TestLoaderOverALoader
//	A2 function given at the call         TestGetOrFetchFetchesWhatIsNotThere, TestGetAndGetOrFetchOfALoaderShareFlights
//	A3 cached value without fetching      TestPeekNeverFetchesNorWaits, TestPeekHonoursValidIf, TestKindsAreToldApart
//	A4 set, touch, delete, clear …        TestSetStoresAndReplaces, TestSetIfAbsentStoresOnlyWhatIsAbsent, TestUpdateReplacesTheOldValue,
//	                                      TestTouchGivesANewLifetime, TestDeleteRemovesAndCountsWhatLived, TestClearRemovesAllAndCountsWhatLived,
//	                                      TestExpiredEntryIsGoneForEveryOperation, TestTouchNeverRevivesTheDead
//	A5 refresh, call the original         TestRefreshReplacesTheEntry, TestFetchCallsTheFunctionAndNothingElse
//	A6 many at once (but batch loaders)   TestGetManyFetchesOnlyWhatIsMissing, TestGetManyAndGetShareFetches, TestGetManyOfNothingIsNothing
//	A7 counters                           TestAddIsAtomic, TestAddWorksForEveryNumber, TestAddThatOverflowsChangesNothing, TestAddKeepsTheTimeLeft
//	A8 names                              TestLoaderIsNamedByItsFunction, TestLoaderNameIsInErrorsAndEvents, TestLoadersOfOneFunctionDoNotMix
//	B1 nil, zero, none told apart         TestZeroValuesAreStored, TestNilIsFetchedAgain, TestNilIsStoredWithCacheNil, TestKindsAreToldApart,
//	                                      TestOnlyANilPointerAndANilInterfaceAreNil
//	B2 skip by result                     TestCallersShareASkippedResult, TestRefreshWhoseResultIsSkippedDropsTheOldEntry
//	B3 errors, "does not exist"           TestErrorsAreNeverStored, TestNoneIfRemembersThatAKeyDoesNotExist, TestNoneLivesAsLongAsItsOwnTTLSays
//	B4 validate on read                   TestInvalidEntryCountsAsAbsentAndIsReplaced, TestValidIfSeesTheWholeEntry
//	B5 lifetimes                          TestEntryExpiresWhenItsTimeIsOverAndNotBefore, TestNumbersAreSecondsAndDurationsAreThemselves,
//	                                      TestTTLOfTheCallBeatsTheFunctionsBeatsTheLoaders, TestUseExtendsASlidingEntry, TestForeverIsForEver
//	B7 copies or shared                   TestMemorySharesValues, TestWithCloneNoTwoCallersShareAValue, TestWithCloneWhatIsSetIsCopied
//	C1 keys from stable values            TestKeysAreOneIfTheirValuesAre, TestKeyTypeWithoutTextIsRefusedSayingWhatToDo
//	C2 parts left out of the key          TestFieldsTaggedWithADashAndNoOthersAreLeftOutOfTheKey
//	C3 own key text                       TestKeysOfOneTextAreOneKey
//	C5 tags                               TestDeleteTagsRemovesEntriesWithAnyOfThem, TestTagsMatchOnlyThemselves, TestTagsFromTheResult
//	E1 one fetch in the process           TestGetSharesOneFetchBetweenConcurrentCallers, TestCallersShareTheErrorOfAFetch,
//	                                      TestCancelledCallerDoesNotCancelOthers
//	F1 modes                              TestEveryModeDoesWhatItsFlagsSay, TestNamedModesAreTheirFlags, TestReadOnlyNeverWaits
//	F2 scopes nest and do not leak        TestNestedModesRestrictTogether, TestModesReachTheLoadersTheyAreAimedAt, TestFetchSeesNoFlagsOfItsOwnLoader,
//	                                      TestModeOfAContextIsNotForItsParentsOrSiblings, TestModesOfConcurrentCallersDoNotMix
//	G3 close drains                       TestCloseWaitsForFetchesAndTheirCallersGetTheirValues, TestCloseWhoseContextEndsGivesUpAndSaysWho,
//	                                      TestEveryCallAfterCloseGetsErrClosed
//	H1 stats                              TestStatsArePartitionsOfGetsAndFetches, TestCollectStatsCountsTheCallsOfItsContext
//	H2 hooks                              TestObserverIsToldOfEveryFetchAndNoHit, TestFaultsAreLoggedAsWarnings
//
// Over a store:
//
//	A4 set, touch, delete, clear …        TestMutationsOverAStore, properties_test: TestSameMeaning
//	A6 many at once                       TestGetManyAsksAStoreOnce
//	A8 names                              TestNamesAreUniqueOverAStore
//	B6 serializers: JSON                  FuzzJSON, ExampleWithCodec
//	B7 copies                             properties_test: TestP21
//	B8 corrupt or foreign bytes           TestCorruptRecordsAreMissesThatGetOverwritten, FuzzParseRecord
//	C4 prefix, version                    TestNamesAreUniqueOverAStore, FuzzStoreKeysDoNotCollide
//	C5 tags                               TestTagsOverAStore
//	D2 Redis: single, Sentinel, Cluster   redisstore
//	D8 one conformance suite              storetest
//	E2 one fetch across processes         TestProcessesShareOneFetch, internal/herd
//	E3 a waiter takes over                TestKilledProcessIsReplacedWhenItsLeaseEnds, TestAbandonedFetchLetsAnotherProcessFetch
//	E4 waiting limit                      TestWaitingForAnotherProcessEnds
//	E5 Redlock                            lease
//	E6 late writers do not win            TestNoProcessReadsAValueOlderThanADelete, properties_test: TestP1, TestP2
//	I1 memory in front of a store         TestMemoryInFrontOfAStoreIsNotUsedWhileDisconnected, properties_test: TestP8, TestP9
//	I4 breaker                            TestGetFetchesWhileTheStoreIsDown, TestStalledStoreHoldsACallerNoLongerThanItsTimeoutAllows
//	I8 chaos                              storetest/chaos
package zodiac_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
)

func TestKeysAreOneIfTheirValuesAre(t *testing.T) {
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	type id struct {
		Tenant string
		N      int
		At     time.Time
		From   netip.Addr
	}
	ann := id{Tenant: "a", N: 1, At: noon}
	wantOneKey(t, ann, id{Tenant: "a", N: 1, At: noon.Local()}, id{Tenant: "a1", At: noon})
	wantOneKey(t, id{At: noon}, id{At: noon.In(time.FixedZone("east", 3600))}, id{At: noon.Add(1)})
	addr := netip.MustParseAddr
	wantOneKey(t, id{From: addr("::1")}, id{From: addr("0:0::1")}, id{From: addr("::2")})
	wantOneKey(t, [2]string{"a", "b"}, [2]string{"a", "b"}, [2]string{"a,b", ""})
	wantOneKey(t, 0, math.Copysign(0, -1), 1e-300)
	wantOneKey[caseless](t, "key", "KEY", "other")
}

// A caseless key is its text in lower case.
type caseless string

func (c caseless) MarshalText() ([]byte, error) { return []byte(strings.ToLower(string(c))), nil }

// wantOneKey fails the test unless a and b are one key, and c another.
func wantOneKey[K comparable](t *testing.T, a, b, c K) {
	t.Helper()
	cache := zodiac.NewCache[K, int]()
	mustSet(t, cache, a, 1)
	mustSet(t, cache, c, 2)
	wantPeek(t, cache, b, 1)
	wantPeek(t, cache, c, 2)
	if n := cache.Len(); n != 2 {
		t.Errorf("%v, %v and %v are %d keys; want 2", a, b, c, n)
	}
}

func TestFieldsTaggedWithADashAndNoOthersAreLeftOutOfTheKey(t *testing.T) {
	type request struct {
		id     int
		_hint  int
		Trace  string `key:"-"`
		engine string
	}
	wantOneKey(t, request{id: 1, Trace: "a"}, request{id: 1, Trace: "b"}, request{id: 1, _hint: 1})
	wantOneKey(t, request{id: 1}, request{id: 1, Trace: "b"}, request{id: 1, engine: "e"})
	var got []string
	l := zodiac.NewLoader(func(_ context.Context, r request) (int, error) { got = append(got, r.Trace); return r.id, nil })
	wantGet(t, l, request{id: 1, Trace: "a"}, 1)
	wantGet(t, l, request{id: 1, Trace: "b"}, 1)
	if len(got) != 1 || got[0] != "a" {
		t.Errorf("the function got %q; want the whole key of the first caller", got)
	}
}

func TestKeysOfOneTextAreOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := slow()
		l := zodiac.NewLoader(fetch, zodiac.WithKey(strings.ToLower), zodiac.WithTTL(60))
		lower, upper := getLater(t.Context(), l, "key"), getLater(t.Context(), l, "KEY")
		wantReply(t, "Get(key)", lower, 1)
		wantReply(t, "Get(KEY)", upper, 1)
		wantCalls(t, calls, 1)
		wantPeek(t, l.Cache, "Key", 1)
		mustSet(t, l.Cache, "KEY", 7)
		wantGet(t, l, "key", 7)
		if n, err := zodiac.Add(t.Context(), l.Cache, "kEY", 1); n != 8 || err != nil {
			t.Errorf("Add = %v, %v; want 8, nil", n, err)
		}
		wantDeleted(t, l.Cache, 1, "key", "KEY")
		wantAbsent(t, l.Cache, "KEY")
	})
}

// A stubborn key has no text.
type stubborn int

func (stubborn) MarshalText() ([]byte, error) { return nil, errOrigin }

func TestErrorOfMarshalTextIsInTheKeyError(t *testing.T) {
	l := zodiac.NewLoader(func(_ context.Context, s stubborn) (int, error) { return int(s), nil })
	wantGet(t, l, 7, 7) // not cached
	_, _, err := l.Peek(t.Context(), 7)
	if _, ok := errors.AsType[*zodiac.KeyError](err); !ok {
		t.Errorf("Peek: error %v; want a *KeyError", err)
	}
	wantError(t, "Peek", err, errOrigin)
	m, err := l.GetMany(t.Context(), []stubborn{7})
	e, ok := errors.AsType[*zodiac.ManyError[stubborn]](err)
	if len(m) != 0 || !ok || len(e.Rejected) != 1 || len(e.Errors) != 0 {
		t.Errorf("GetMany = %v, %v; want one rejected key", m, err)
	}
}

// numbered returns a function whose results are 1, 2, 3 and so on, for any key. A value shows the
// number of its call.
func numbered() (fetch func(context.Context, string) (int, error), calls *atomic.Int64) {
	calls = new(atomic.Int64)
	return func(context.Context, string) (int, error) { return int(calls.Add(1)), nil }, calls
}

// slow is numbered with calls that take a second, less if their context ends.
func slow() (fetch func(context.Context, string) (int, error), calls *atomic.Int64) {
	calls = new(atomic.Int64)
	return func(ctx context.Context, _ string) (int, error) {
		n := calls.Add(1)
		select {
		case <-time.After(time.Second):
			return int(n), nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}, calls
}

// uncancelable is slow with calls that do not look at their context.
func uncancelable() (fetch func(context.Context, string) (int, error), calls *atomic.Int64) {
	calls = new(atomic.Int64)
	return func(context.Context, string) (int, error) {
		n := calls.Add(1)
		time.Sleep(time.Second)
		return int(n), nil
	}, calls
}

// failing returns a function that fails with err.
func failing(err error) (fetch func(context.Context, string) (int, error), calls *atomic.Int64) {
	calls = new(atomic.Int64)
	return func(context.Context, string) (int, error) {
		calls.Add(1)
		return 0, err
	}, calls
}

// untilEnd is a function that runs until its context ends.
func untilEnd(ctx context.Context, _ string) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

var errOrigin = errors.New("the origin is down")

// A reply is what a call returned.
type reply[V any] struct {
	value V
	err   error
}

// later makes a call on a goroutine of its own. It returns when everything in the bubble is idle.
func later[V any](call func() (V, error)) <-chan reply[V] {
	c := make(chan reply[V], 1)
	go func() {
		v, err := call()
		c <- reply[V]{v, err}
	}()
	synctest.Wait()
	return c
}

func getLater[K comparable, V any](ctx context.Context, l *zodiac.Loader[K, V], key K) <-chan reply[V] {
	return later(func() (V, error) { return l.Get(ctx, key) })
}

func wantReply[V comparable](t *testing.T, call string, c <-chan reply[V], want V) {
	t.Helper()
	if r := <-c; r.value != want || r.err != nil {
		t.Errorf("%s = %v, %v; want %v, nil", call, r.value, r.err, want)
	}
}

func wantGet[K, V comparable](t *testing.T, l *zodiac.Loader[K, V], key K, want V) {
	t.Helper()
	wantGetWith(t.Context(), t, l, key, want)
}

func wantGetWith[K, V comparable](ctx context.Context, t *testing.T, l *zodiac.Loader[K, V], key K, want V) {
	t.Helper()
	if v, err := l.Get(ctx, key); v != want || err != nil {
		t.Errorf("Get(%v) = %v, %v; want %v, nil", key, v, err, want)
	}
}

func wantPeek[K, V comparable](t *testing.T, c *zodiac.Cache[K, V], key K, want V) {
	t.Helper()
	if v, ok, err := c.Peek(t.Context(), key); v != want || !ok || err != nil {
		t.Errorf("Peek(%v) = %v, %v, %v; want %v, true, nil", key, v, ok, err, want)
	}
}

func wantAbsent[K comparable, V any](t *testing.T, c *zodiac.Cache[K, V], key K) {
	t.Helper()
	if v, ok, err := c.Peek(t.Context(), key); ok || err != nil {
		t.Errorf("Peek(%v) = %v, %v, %v; want nothing", key, v, ok, err)
	}
}

func wantCalls(t *testing.T, calls *atomic.Int64, want int64) {
	t.Helper()
	if n := calls.Load(); n != want {
		t.Errorf("the function was called %d times; want %d", n, want)
	}
}

// wantError fails the test unless err matches target.
func wantError(t *testing.T, call string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: error %v; want one that is %q", call, err, target)
	}
}

// same reports whether err is want itself, not one that wraps it.
func same(err, want error) bool { return any(err) == any(want) }

// must fails the test if a call that should have succeeded returned an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustSet[K comparable, V any](t *testing.T, c *zodiac.Cache[K, V], key K, value V, opts ...zodiac.SetOption) {
	t.Helper()
	must(t, c.Set(t.Context(), key, value, opts...))
}

// wantLeft fails the test unless the entry of key has so much time left.
func wantLeft[K comparable, V any](t *testing.T, c *zodiac.Cache[K, V], key K, want time.Duration) {
	t.Helper()
	if e, ok, err := c.Entry(t.Context(), key); !ok || e.Left != want {
		t.Errorf("Entry(%v) has %v left (%v, %v); want %v", key, e.Left, ok, err, want)
	}
}

// tagNames returns n names.
func tagNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint("tag", i)
	}
	return names
}

// A recorder is an Observer that keeps the events.
type recorder struct {
	mu     sync.Mutex // guards the field below
	events []zodiac.Event
}

func (r *recorder) Observe(_ context.Context, e zodiac.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// all returns the events so far.
func (r *recorder) all() []zodiac.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]zodiac.Event(nil), r.events...)
}

// wantText fails the test unless the text of err holds all of parts.
func wantText(t *testing.T, call string, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: error %q; want one that says %q", call, err, part)
		}
	}
}

// nan returns a key that equals no key.
func nan() float64 { return math.NaN() }
