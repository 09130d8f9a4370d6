// Package zodiac turns a slow function into a cached one without changing its type.
//
//	users := zodiac.NewLoader(fetchUser, zodiac.WithTTL(60)) // func(context.Context, int64) (User, error), cached for 60 s
//	u, err := users.Get(ctx, 42)
//
// # Loaders and caches
//
// A [Loader] is a fetch function with a [Cache] in front of it. [Loader.Get] has the type of the
// function, so a loader goes wherever the function went. However many goroutines ask for a key that
// is not cached, the function is called once, and all get its value or its error. A Cache by itself
// is for values that the program sets, or fetches by a function given with the call.
//
// Values are kept in memory, at most [WithCapacity] of them. Memory shares values with its readers,
// who must not change them, unless [WithClone] makes copies.
//
// # Stores
//
// [WithStore] keeps values where other processes find them. Package redisstore has a [Store] on
// Redis, and memstore one in the process. Package driver says how to write one, and storetest checks
// it.
//
//	zodiac.NewLoader(fetchUser, zodiac.WithTTL(60), zodiac.WithName("users"), zodiac.WithStore(redisstore.New(client)))
//
// However many processes ask for a key, one of them fetches it. It holds a lease, which is the right
// to do so for a limited time. The store lends it, and it is renewed while the fetch runs. The other
// processes are woken when the fetch is over. A value is stored only if its lease is still current
// and nothing was invalidated in between. Each caller gets a copy of its own, decoded by
// [WithCodec]. A record that cannot be read is a miss.
//
// If the store fails or stalls, callers get their values all the same, one fetch at a time for each
// key and process, and the [Observer] is told. With [FailClosed] callers get the error. Methods that
// write return a [*StoreError].
//
// [WithMemory] keeps values in memory too, in front of the store. An invalidation takes effect in
// its own process at once, in others as soon as the store has published it, and within two seconds in
// a process that does not receive it.
//
// # Freshness
//
// An entry lives for [WithTTL], counted from when it is stored, and is never returned after its
// expiry. (The exception is a process that was stopped, or whose timers were delayed by 80 ms: it may
// return an expired entry until they have run.) Delete, Set, DeleteTags and Clear discard the fetches
// that are under way: callers that wait get the result, but it is not stored, and later callers do
// not get it. So once an invalidation has returned, no later Get returns anything older; over a store,
// in no process, but for what is said above of WithMemory and of stores that fail.
//
// # Absent, nil, zero, None
//
// Zero values are values. A nil pointer or nil interface that a fetch returns is not stored unless
// [CacheNil] says so. An error that [NoneIf] names means that the key does not exist. That is stored
// as a None, for which readers get an error that matches [ErrNone] and the error named. Other errors
// are not stored; [WithErrorTTL] remembers them briefly.
//
// # Keys
//
// K may be bool, an integer, a float (but not NaN), a string, a time.Time, an encoding.TextMarshaler,
// or an array or struct of these. A field tagged `key:"-"` is left out. For any other K give
// [WithKey]. Bools, numbers, strings, and arrays and structs of them are looked up as they are; other
// keys by their text, which costs an allocation for each call.
//
// # Errors, panics, goroutines
//
// Errors of the fetch function come back as they are. If it panics or calls runtime.Goexit, every
// caller gets a [*PanicError], and so for the functions of options. Wrong options are found when the
// loader is made, and all are reported at once.
//
// A fetch runs on a goroutine of its own, which [Cache.Close] waits for. Expired entries are removed
// by a timer that is armed only while there are entries that expire. A loader in memory that is never
// closed leaks nothing. Over a store there are goroutines for work in the background, and with
// WithMemory a subscription. Close ends them and frees the loader's name.
//
// zodiac bounds memory in entries, not in bytes. It retries neither a fetch nor a write to a store.
//
// # Inside
//
// cache.go makes a cache and closes it. A Get that finds nothing in memory goes on in get.go. A
// flight's goroutine is in fetch.go: it calls the fetch function; then classify runs SkipIf and the
// like, which say whether the result is fit to be stored. commit.go stores it, unless the mode or an
// invalidation is against it, or the flight was given up. Over a store codec.go may find that it
// cannot be encoded or is too large, and commit.go of internal/remote that the lease is lost.
// storejob.go has what a flight does over a store, and refuses its outcome to callers who came too
// late.
//
// memory.go turns a key into its slot, a tier.Key, by the key's text where == will not do, and has
// the entries in memory. stored.go makes keys of the store and reads records. settings.go checks
// options. Package internal/keytext makes the texts of keys, internal/flight decides who shares a
// fetch, internal/remote what is sent to a store.
package zodiac
