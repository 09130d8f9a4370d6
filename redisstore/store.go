package redisstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/faultlog"
)

// A Store is a [driver.Store] on Redis with all optional interfaces of package driver. It is safe
// for concurrent use. Make one with New, TryNew or Open; the zero value is not usable.
type Store struct {
	client redis.UniversalClient
	sender sender // sends the commands: client, or a copy of it that obeys deadlines

	dials *dials // why the client may have no connection; nil if that is not known

	ownsClient     bool // Open made client, so Close closes it
	obeysDeadlines bool // sender ends a command at the deadline of its context

	// forEachMaster calls a function for each master of a Cluster. It is nil for other clients:
	// forEachMaster != nil means that the Store is on a Cluster.
	forEachMaster func(context.Context, func(context.Context, *redis.Client) error) error

	// masterForKey returns the client of the master that has a key or a sharded channel. It is nil
	// for other clients.
	masterForKey func(context.Context, string) (*redis.Client, error)

	channel  string
	logger   *slog.Logger // nil = slog.Default()
	reporter *faultlog.Reporter

	mux       mux
	pipelines autoPipeline
	clock     serverClock

	closed       atomic.Bool
	checked      atomic.Bool // the server's version is known to be new enough
	reached      atomic.Bool // a command on a Cluster has succeeded
	crossSlot    atomic.Bool // the server refuses a command with keys of several slots
	stuck        atomic.Int64
	wakesRefused atomic.Uint64
}

var (
	_ driver.Store      = (*Store)(nil)
	_ driver.Leaser     = (*Store)(nil)
	_ driver.Batcher    = (*Store)(nil)
	_ driver.DataReader = (*Store)(nil)
	_ driver.Waker      = (*Store)(nil)
	_ driver.Bus        = (*Store)(nil)
	_ driver.Sharder    = (*Store)(nil)
)

// An Option is a setting of a Store.
type Option func(*Store)

// WithChannel sets the channel for invalidations. All processes that share keys must use the same
// channel. By default, it is "zodiac:" and the number of the database. The channels for wake-ups have
// the names of the keys, which begin with "zodiac:".
func WithChannel(name string) Option { return func(s *Store) { s.channel = name } }

// WithLogger sets the logger that is told that the server refuses to publish wake-ups: the first time,
// and then how often, at most once a minute. Its handler runs on a goroutine of the Store, under no
// lock. By default, it is slog.Default(), as it is when a line is written.
func WithLogger(l *slog.Logger) Option { return func(s *Store) { s.logger = l } }

// New returns a Store on client. The caller closes client, after the Store. New sends nothing to
// the server; the first command does. New adds a hook to client, once, that notes failed dials. It
// panics with the error that TryNew would return.
func New(client redis.UniversalClient, opts ...Option) *Store {
	s, err := TryNew(client, opts...)
	if err != nil {
		panic(err)
	}
	return s
}

// TryNew is New, but returns the error. client must be a *redis.Client, a *redis.ClusterClient, or
// a type that embeds one of them. It must not read from replicas or have a cache of its own, since
// both may return records that were deleted.
func TryNew(client redis.UniversalClient, opts ...Option) (*Store, error) {
	s := &Store{client: client, sender: client}
	var err error
	switch c := client.(type) {
	case nil:
		err = errors.New("redisstore: the client is nil")
	case interface{ Options() *redis.ClusterOptions }:
		err = s.useCluster(c.Options())
		s.forEachMaster = client.(interface {
			ForEachMaster(context.Context, func(context.Context, *redis.Client) error) error
		}).ForEachMaster
		s.masterForKey = client.(interface {
			MasterForKey(context.Context, string) (*redis.Client, error)
		}).MasterForKey
		if own, ok := client.(*redis.ClusterClient); ok && err == nil {
			s.dials = dialsOf(own, own.Options().TLSConfig != nil, func(h redis.Hook) {
				own.OnNewNode(func(node *redis.Client) { node.AddHook(h) })
			})
		}
	case interface{ Options() *redis.Options }:
		err = s.useSingle(c.Options())
		if own, ok := client.(*redis.Client); ok && err == nil {
			s.dials = dialsOf(own, own.Options().TLSConfig != nil, own.AddHook)
			if !s.obeysDeadlines {
				if d := withDeadlines(own); d != nil {
					s.sender, s.obeysDeadlines = d, true
				}
			}
		}
	default:
		err = fmt.Errorf("redisstore: the client is a %T; want a *redis.Client or a *redis.ClusterClient", client)
	}
	if err != nil {
		return nil, err
	}
	for _, opt := range opts {
		opt(s)
	}
	s.reporter = faultlog.NewReporter(s.logger, "channel", s.channel)
	s.mux.init(s.masterForKey != nil, s.serverOf)
	s.pipelines.yield = runtime.Gosched
	return s, nil
}

// useSingle takes the settings of a client that is not a cluster client.
func (s *Store) useSingle(o *redis.Options) error {
	s.obeysDeadlines, s.channel = o.ContextTimeoutEnabled, "zodiac:"+strconv.Itoa(o.DB)
	if o.ClientSideCacheConfig != nil || o.ClientSideCache != nil {
		return errClientCache
	}
	return nil
}

// useCluster takes the settings of a cluster client.
func (s *Store) useCluster(o *redis.ClusterOptions) error {
	s.obeysDeadlines, s.channel = o.ContextTimeoutEnabled, "zodiac:0"
	if o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
		return errClientReplicas
	}
	return nil
}

// Client returns the client, which may be used for other commands too.
func (s *Store) Client() redis.UniversalClient { return s.client }

// Stats are figures about a Store.
type Stats struct {
	// WakesRefused counts the wake-ups that the server has refused to publish since the Store was
	// made. The processes that wait for them poll instead.
	WakesRefused uint64

	// Stuck is the number of commands that are under way now though their callers have returned.
	Stuck int
}

// Stats returns the figures of the Store.
func (s *Store) Stats() Stats {
	return Stats{WakesRefused: s.wakesRefused.Load(), Stuck: int(s.stuck.Load())}
}

// Close ends the subscription and waits for its goroutines, and for the log's handler up to a second.
// Subscribers get a last Invalidation with Gap set. Close also closes the client if Open made it. Later calls of Close do nothing and
// return nil; all other methods that talk to the server return an error.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.mux.close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.reporter.Close(ctx) // what a handler is too slow for is lost
	if s.ownsClient {
		return s.client.Close()
	}
	return nil
}

// checkOpen returns errClosed if the Store is closed.
func (s *Store) checkOpen() error {
	if s.closed.Load() {
		return errClosed
	}
	return nil
}
