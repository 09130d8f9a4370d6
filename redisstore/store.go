// Package redisstore keeps zodiac's records in Redis 7.0 or later, alone, with Sentinel, or as a Cluster. Valkey should do, but is
// not tested.
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
// # What is sent
//
// A hit is one command in one round trip; PTTL goes with it where the time left matters. A miss is three round trips: the read, a
// script that takes the lease, and one that stores the result and ends the lease. Everything about a key is in that key, so that
// whoever deletes it, with whatever client, voids the lease too. docs/redis-frame.md describes the bytes.
//
// Where more than four callers read without wanting the time left, or run scripts of leases, at the same time, those who come together
// share a pipeline, under the values of one caller's context; if it fails, each sends his command by itself, unless there is no time
// left. Other writes, and on a cluster everything, are sent by themselves.
//
// # Goroutines
//
// At rest there are none. While somebody waits for another process' fetch, or has subscribed, there is one connection with a
// subscription and two goroutines, and for a second longer. A command runs on its caller's goroutine, or on one of its own if the
// client would not notice the end of the context.
//
// # Contexts
//
// A command under a context with a deadline returns soon after that, if the server stalls; a context that is cancelled before is
// noticed at the deadline. (A Loader's calls have one, WithStoreTimeout, and it returns to callers who leave as soon as the server has
// once been slow.) Under a context that has no deadline but can be cancelled, a command costs a goroutine, and returns soon.
//
// Clients whose option ContextTimeoutEnabled is false heed no deadlines. The Store sends commands of a *redis.Client
// on the same connections as if it were true, through the hooks the client has when the Store is made; those that are added later
// do not see them. Commands of a cluster client, or of a type with a client embedded, then cost a goroutine each; so set it.
//
// # What it cannot do
//
// Redis replicates asynchronously: a failover can lose a Delete, and what it removed is there again. A key that someone makes
// persistent by hand may be read past its time. While slots of a Cluster move, Clear may miss keys.
package redisstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/driver"
)

// A Store is a [driver.Store] on Redis, with all optional abilities.
type Store struct {
	client  redis.UniversalClient
	sender  commander                                                               // what sends the commands of client
	owned   bool                                                                    // the client is ours to close
	inline  bool                                                                    // sender heeds deadlines
	masters func(context.Context, func(context.Context, *redis.Client) error) error // of a cluster, else nil
	channel string
	logger  *slog.Logger

	hub      hub
	gatherer gatherer
	clock    serverClock
	closed   atomic.Bool
	checked  atomic.Bool // the server is new enough
	slots    atomic.Bool // the server takes no commands of keys of several slots
	stuck    atomic.Int64
	refused  atomic.Uint64
	report   sync.Once
}

var (
	_ driver.Store      = (*Store)(nil)
	_ driver.Leaser     = (*Store)(nil)
	_ driver.Batcher    = (*Store)(nil)
	_ driver.DataReader = (*Store)(nil)
	_ driver.Waker      = (*Store)(nil)
	_ driver.Bus        = (*Store)(nil)
)

// An Option is a setting of a Store.
type Option func(*Store)

// WithChannel sets the channel of wake-ups and announcements, which all processes that share keys have in common. By default,
// it is "zodiac:" and the number of the database.
func WithChannel(name string) Option { return func(s *Store) { s.channel = name } }

// WithLogger logs, once, that the server refuses to pass on wake-ups. By default, nothing is logged.
func WithLogger(l *slog.Logger) Option { return func(s *Store) { s.logger = l } }

// New returns a Store on client, which stays the caller's to close. It does not talk to the server; the first command does.
// It panics if the client is not one that TryNew takes.
func New(client redis.UniversalClient, opts ...Option) *Store {
	s, err := TryNew(client, opts...)
	if err != nil {
		panic(err)
	}
	return s
}

// TryNew is New that returns the error. client is a *redis.Client or a *redis.ClusterClient, or something that has one of these
// embedded. Reads from replicas or from a cache in the client are refused: they would bring back what was deleted.
func TryNew(client redis.UniversalClient, opts ...Option) (*Store, error) {
	s := &Store{client: client, sender: client}
	var err error
	switch c := client.(type) {
	case nil:
		err = errors.New("redisstore: the client is nil")
	case interface{ Options() *redis.ClusterOptions }:
		err = s.cluster(c.Options())
		s.masters = client.(interface {
			ForEachMaster(context.Context, func(context.Context, *redis.Client) error) error
		}).ForEachMaster
	case interface{ Options() *redis.Options }:
		err = s.single(c.Options())
		if own, ok := client.(*redis.Client); ok && err == nil && !s.inline {
			if h := heeding(own); h != nil {
				s.sender, s.inline = h, true
			}
		}
	default:
		err = fmt.Errorf("redisstore: a %T is neither a *redis.Client nor a *redis.ClusterClient", client)
	}
	if err != nil {
		return nil, err
	}
	for _, opt := range opts {
		opt(s)
	}
	s.hub.subscribe = s.subscribe
	s.gatherer.yield = runtime.Gosched
	return s, nil
}

func (s *Store) single(o *redis.Options) error {
	s.inline, s.channel = o.ContextTimeoutEnabled, "zodiac:"+strconv.Itoa(o.DB)
	if o.ClientSideCacheConfig != nil || o.ClientSideCache != nil {
		return errCached
	}
	return nil
}

func (s *Store) cluster(o *redis.ClusterOptions) error {
	s.inline, s.channel = o.ContextTimeoutEnabled, "zodiac:0"
	if o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
		return errors.New("redisstore: the client reads from replicas, which may bring back what was deleted; " +
			"leave out ReadOnly, RouteByLatency and RouteRandomly")
	}
	return nil
}

var errCached = errors.New("redisstore: the client caches, and may bring back what was deleted; leave out ClientSideCacheConfig, " +
	"and see zodiac.WithMemory")

// Client returns the client, to use for other things as well.
func (s *Store) Client() redis.UniversalClient { return s.client }

// Stats are figures about a Store since it was made.
type Stats struct {
	WakesRefused uint64 // wake-ups that the server did not pass on; who waits for them polls
	Stuck        int    // commands under way now that nobody waits for any more
}

// Stats returns the Store's figures.
func (s *Store) Stats() Stats {
	return Stats{WakesRefused: s.refused.Load(), Stuck: int(s.stuck.Load())}
}

// Close ends the subscription, and closes the client if Open has made it. Subscribers hear that there is a gap.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.hub.close()
	if s.owned {
		return s.client.Close()
	}
	return nil
}
