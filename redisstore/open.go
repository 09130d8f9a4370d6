package redisstore

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/redis/go-redis/v9"
)

const schemes = "redis://, rediss:// (TLS), unix://, redis+cluster://, rediss+cluster://, " +
	"redis+sentinel:// and rediss+sentinel://"

// The options that go-redis takes in URLs.
const (
	commonOptions = "protocol, client_name, max_retries, min_retry_backoff, max_retry_backoff, " +
		"dial_timeout, read_timeout, write_timeout, pool_fifo, pool_size, pool_timeout, " +
		"min_idle_conns, max_idle_conns, max_active_conns, max_concurrent_dials, " +
		"conn_max_idle_time, conn_max_lifetime, conn_max_lifetime_jitter, pipeline_pool_size, " +
		"pipeline_read_buffer_size, pipeline_write_buffer_size"
	singleOptions  = commonOptions + ", db, skip_verify"
	clusterOptions = commonOptions + ", addr, max_redirects, dialer_retries, dialer_retry_timeout, " +
		"failing_timeout_seconds"
	sentinelOptions = commonOptions + ", db, skip_verify, master_name, addr, username, password, " +
		"dialer_retries, dialer_retry_timeout"
)

// Open returns a Store on a client that Open makes and Close closes. It does not connect to the
// server; the first command does.
//
//	redis://user:password@localhost:6379/0?read_timeout=2s
//	rediss://…                                             with TLS
//	redis+cluster://node1:6379?addr=node2:6379&addr=node3:6379   or rediss+cluster://
//	redis+sentinel://sentinel1:26379/0?master_name=mymaster&addr=sentinel2:26379&password=…
//
// A user and password in front of a sentinel's host are for the sentinels. Those for the master are
// the options username and password. All options are those of go-redis. An unknown scheme is an
// error that lists the known schemes, and an unknown option is one that lists the known options.
func Open(address string, opts ...Option) (*Store, error) {
	client, err := newClient(address)
	if err != nil {
		return nil, err
	}
	s, err := TryNew(client, opts...)
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	s.ownsClient = true
	return s, nil
}

// newClient returns a client for address. It does not connect.
func newClient(address string) (redis.UniversalClient, error) {
	u, err := url.Parse(address)
	if err != nil {
		// The text of err has the URL in it, with the password.
		return nil, errors.New("redisstore: the URL cannot be parsed; it is left out here, " +
			"since it may contain a password")
	}
	base, kind, _ := strings.Cut(u.Scheme, "+")
	if base != "redis" && base != "rediss" && u.Scheme != "unix" {
		return nil, unknownScheme(u.Scheme)
	}
	u.Scheme = base
	switch kind {
	case "":
		return newSingle(u)
	case "cluster":
		return newCluster(u)
	case "sentinel":
		return newFailover(u)
	default:
		return nil, unknownScheme(base + "+" + kind)
	}
}

// newSingle returns a client for one server.
func newSingle(u *url.URL) (redis.UniversalClient, error) {
	o, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, wrongURL(err, singleOptions)
	}
	o.ContextTimeoutEnabled = true
	return redis.NewClient(o), nil
}

// newCluster returns a client for a Cluster.
func newCluster(u *url.URL) (redis.UniversalClient, error) {
	o, err := redis.ParseClusterURL(u.String())
	if err != nil {
		return nil, wrongURL(err, clusterOptions)
	}
	o.ContextTimeoutEnabled = true
	if o.TLSConfig != nil {
		o.TLSConfig.MinVersion = tls.VersionTLS12
	}
	return redis.NewClusterClient(o), nil
}

// newFailover returns a client for the master that sentinels watch.
func newFailover(u *url.URL) (redis.UniversalClient, error) {
	o, err := redis.ParseFailoverURL(u.String())
	switch {
	case err != nil:
		return nil, wrongURL(err, sentinelOptions)
	case o.MasterName == "":
		return nil, errors.New("redisstore: a URL for sentinels needs the option master_name")
	case o.RouteByLatency || o.RouteRandomly || o.ReplicaOnly || o.UseDisconnectedReplicas:
		return nil, errors.New("redisstore: replicas may return deleted records; " +
			"leave out replica_only, route_by_latency, route_randomly and use_disconnected_replicas")
	}
	o.ContextTimeoutEnabled = true
	return redis.NewFailoverClient(o), nil
}

func unknownScheme(scheme string) error {
	return fmt.Errorf("redisstore: unknown scheme %q; known schemes are %s", scheme, schemes)
}

// wrongURL returns the error for a URL that go-redis does not take.
func wrongURL(err error, options string) error {
	return fmt.Errorf("redisstore: %w; known options are %s", err, options)
}
