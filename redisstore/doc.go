// Package redisstore keeps zodiac's records in Redis 7.0 or later: on one server, on a master that
// Sentinel watches, or on a Cluster. Valkey should work, but is not tested.
//
//	func main() {
//		ctx := context.Background()
//		client := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
//		defer client.Close()
//		store := redisstore.New(client)
//		defer store.Close()
//		users := zodiac.NewLoader(fetchUser,
//			zodiac.WithName("users"), zodiac.WithStore(store), zodiac.WithTTL(60))
//		defer users.Close(ctx)
//		fmt.Println(users.Get(ctx, 42)) // user 42 <nil>
//	}
//
//	func fetchUser(_ context.Context, id int64) (string, error) {
//		return fmt.Sprint("user ", id), nil // stands for a slow call
//	}
//
// [Open] makes the client as well, from a URL.
//
// # What the package owns
//
// It owns the bytes of a key in Redis, the Lua scripts that change them, the channel for wake-ups
// and invalidations, and the way a command is sent under a context. A [Store] implements
// [driver.Store] and every optional interface of package driver.
//
// It knows nothing about loaders, about the types of keys and values, or about the meaning of a
// record's data. It never fetches and never waits for a lease: callers do. It imports package
// driver, and never package zodiac.
//
// # Invariants
//
//   - A key holds all there is to know about it: the record, the lease, and whether somebody waits
//     for the lease. Anyone who deletes the key, with any client, revokes the lease too.
//   - Each change of a key is one script, which touches no other key. So a change is atomic, and a
//     Cluster needs no hash tags.
//   - Nothing is stored under a revoked lease, and at most one record under each grant of a lease.
//   - The time left that is returned is never more than the record has.
//   - Records and leases end by the server's clock. The clock of this machine only decides whether
//     a read is repeated.
//   - Whatever somebody else does to a key, readers and scripts go by the same times: where the frame
//     and the expiry of the key contradict each other, the sooner counts.
//   - A lease is cut to a day.
//
// # What is sent
//
// A hit is one command in one round trip. PTTL goes with it if the time left matters. A miss is
// three round trips: the read, a script that takes the lease, and a script that stores the result
// and ends the lease. Tags cost one more: docs/performance.md has the figures. Before its first script, a Store asks for the server's version with INFO.
// docs/redis-frame.md describes the bytes.
//
// At most four callers at a time send their own commands. When there are more, those that read
// without needing the time left, and those that run the scripts of leases, share pipelines of up to
// 16 commands. A shared pipeline runs under the values and the deadline of one caller's context. If
// it fails, each of its callers sends its command again by itself, unless too little time is left.
// All other writes are sent by themselves, and so is everything on a Cluster.
//
// # The life of a lease
//
// The holder ends its lease with Commit or Abort. Set, Delete, and an Add that stores end it by
// overwriting or removing the key. Clear revokes it but leaves it in the key, so that others go on
// waiting until the holder's Commit or Abort ends it. An Acquire with Force gives it to another
// holder. At its deadline the lease is over without any command: Acquire compares the deadline with
// the server's clock, and Redis expires a key that has no longer-lived record.
//
// # Wake-ups and invalidations
//
// The script that ends a lease also publishes the wake-up, but only if an Acquire found the lease
// taken before. On a Cluster the script only reports that a wake-up is due, and the Store publishes
// it afterwards with SPUBLISH, which stays within one shard. Nothing is published when a lease is
// over at its deadline, is taken by Force, or is lost because another client has removed the key.
// Then waiters notice when they ask again.
//
// A Store has at most one subscription, which serves all waiters and all subscribers. The Store
// pings the server every 400 ms. The subscription is cut when its connection fails, when nothing
// has arrived for 1.2 s, or when it is not confirmed within 5 s. Then all waiters are woken, since
// their wake-ups may be lost, and each subscriber gets a last Invalidation with Gap set. If waiters
// remain, the Store subscribes again a second later. Subscribers have to call Subscribe again.
//
// # Goroutines and connections
//
// Commands use the client's connections. They run on the caller's goroutine, or on a goroutine of
// their own if the client would not notice the end of the context. At rest the Store has neither
// goroutines nor connections of its own. A subscription has two goroutines and one connection, and
// ends one second after its last waiter and subscriber have gone. [Store.Close] ends it and waits
// for its goroutines.
//
// # The log
//
// A Store logs that the server refuses to publish wake-ups: see [WithLogger]. All other errors are
// for the caller, and a Loader logs them. go-redis itself writes to stderr, for example when it has
// to dial again. The Store leaves that alone, since the setting is global: see redis.SetLogger.
//
// # Contexts
//
// If the server stalls, a command under a context with a deadline returns soon after the deadline.
// If such a context is cancelled before, the command may still return only at the deadline. A
// command under a context that can be cancelled but has no deadline costs a goroutine, and returns
// soon after the cancellation. (A Loader gives each command a deadline, WithStoreTimeout. Once a
// command has failed, the Loader itself returns to a caller whose context is cancelled.)
//
// A client whose option ContextTimeoutEnabled is false ignores deadlines. For a *redis.Client, the
// Store then sends its commands as if the option were true, on the same connections and through the
// hooks that the client had when the Store was made. Hooks added later do not see them. For a
// cluster client, or a type that embeds a client, each command under a context that can end costs
// a goroutine. So set the option.
//
// # Limits
//
// Redis replicates asynchronously: a failover can lose a Delete, and the deleted record is back. A
// key that somebody makes persistent by hand may be read past its time. Clear may miss keys while
// slots of a Cluster move.
//
// # Where to start reading
//
// Begin with frame.go and lua/frame.lua, which share the layout of a key.
//
//	store.go         Store, New, its settings, Stats, Close
//	open.go          Open: a client from a URL
//	read.go          Get, GetData, GetMany, GetManyData
//	write.go         Set, SetMany, Add, Expire, Delete, Clear
//	lease.go         Acquire, Renew, Commit, Abort
//	script.go        running the scripts in lua/, one file per operation
//	frame.go         the layout of a key; timeLeft computes the time left of a record that is
//	                 read (lua/acquire.lua does so for one found while asking for the lease)
//	clock.go         whether a frame and the expiry of its key can be true, or a script looks again
//	publish.go       wake-ups and the channel; lua/frame.lua publishes the wake-up itself
//	bus.go           Publish, Subscribe, and the bytes of an Invalidation
//	mux.go           one subscription for all waiters and subscribers
//	subscription.go  the life of one subscription; fail is called when it is cut
//	send.go          one command or pipeline under a context
//	autopipeline.go  pipelines that several callers share
//	deadline.go      a client that ends commands at the deadlines of contexts
//	errors.go        errors, and advice for errors of the server
//	version.go       the check that the server is new enough
//	check.go         Check: what is wrong with the server, at start-up
//	dial.go          why there is no connection, for the errors of commands
package redisstore
