// Package zodiac turns a slow function into a cached one without changing its type.
//
//	users := zodiac.NewLoader(fetchUser, zodiac.WithTTL(60)) // func(context.Context, int64) (User, error), cached for 60 s
//	u, err := users.Get(ctx, 42)
//
// # Loaders and caches
//
// A [Loader] is a function with a [Cache] in front of it. [Loader.Get] has the type of the function, so a loader goes
// wherever the function went. However many goroutines ask for a key that is not cached, the function is called once, and
// all get its value or its error. A [Cache] by itself is for values that are set, or fetched by a function given at the
// call.
//
// Values are kept in memory, at most [WithCapacity] of them; a policy of its own decides which go. Memory shares values
// with its readers, who must not change them, unless [WithClone] makes copies.
//
// # Stores
//
// [WithStore] keeps values where other processes find them: package redisstore has a [Store] on Redis, memstore one in the
// process, and storetest checks one that you write.
//
//	users := zodiac.NewLoader(fetchUser, zodiac.WithTTL(60), zodiac.WithName("users"), zodiac.WithStore(redisstore.New(client)))
//
// However many processes ask for a key, one of them fetches it, under a lease that the store lends and that is renewed while the fetch
// runs; the others are woken when it has. A value is stored only if its lease is still the current one and nothing was invalidated in
// between. Each caller gets a copy of its own, decoded by [WithCodec]. A record that cannot be read is a miss.
//
// If the store fails or stalls, callers get their values all the same, one fetch at a time for each key and process, and the [Observer]
// is told; [FailClosed] makes its faults theirs. Methods that write return a [*StoreError]; then the write may have been
// carried out, or may be later.
//
// [WithMemory] keeps values in memory too, in front of the store. What any process invalidates leaves the memory of this one at once, of the
// others as soon as the store announces it, and within two seconds where that cannot be heard.
//
// # Freshness
//
// An entry lives for [WithTTL], counted from when it is stored, and is gone at its expiry. (Only a process that was
// stopped, or starved of its timers for 80 ms, may serve one past it, until they have run.) Delete, Set, DeleteTags and
// Clear make the fetches void that run at that moment: those who already wait get what they bring, but it is never stored,
// and nobody who asks later gets it. So once an invalidation has returned, no later Get returns anything older; over a store, in
// no process.
//
// # Absent, nil, zero, None
//
// Zero values are values. A nil pointer or nil interface that a fetch returns is not stored unless [CacheNil] says so.
// That a key does not exist is remembered if the fetch's error is one that [NoneIf] names: as a None, for which readers
// get an error that matches [ErrNone] and the error named. Other errors are never stored; [WithErrorTTL] remembers them
// briefly, so that a source that is down is not hammered.
//
// # Modes
//
// [Bypass], [Overwrite], [ReadOnly] and [NoWrite] in a context change what one call may do: read, write, fetch. They never
// reach the loaders that the function calls in turn, unless they are aimed at them.
//
// # Keys
//
// K may be bool, an integer, a float (but not NaN), a string, a time.Time, an encoding.TextMarshaler, or an array or struct
// of these; a field tagged `key:"-"` is left out. For any other K give [WithKey]. Integers, strings, and arrays and structs
// of them are looked up as they are; other keys by their text, which costs an allocation for each call.
//
// # Errors and panics
//
// Errors of the function come back as they are. If it panics, or calls runtime.Goexit, every caller gets a
// *[PanicError]. The functions given to options may panic too, with the same result. Wrong options are found when the
// loader is made, and all are reported at once.
//
// # Goroutines and timers
//
// A fetch runs on a goroutine of its own, which [Cache.Close] waits for. There is no other goroutine: expired entries are
// taken out by a timer, which is armed only while there are entries that expire. A loader in memory that is never closed leaks
// nothing. Over a store there are also goroutines for what goes on in the background, and with WithMemory a subscription: Close ends
// them, and frees the loader's name.
//
// # What it does not do
//
// It does not bound memory in bytes. It does not retry the function, nor writes to a store.
package zodiac
