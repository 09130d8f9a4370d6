package redisstore

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/redis/go-redis/v9"
)

const schemes = "redis://, rediss:// (TLS), unix://, redis+cluster://, rediss+cluster://, redis+sentinel:// and rediss+sentinel://"

// The options that go-redis takes in URLs.
const (
	commonOptions = "protocol, client_name, max_retries, min_retry_backoff, max_retry_backoff, dial_timeout, read_timeout, " +
		"write_timeout, pool_fifo, pool_size, pool_timeout, min_idle_conns, max_idle_conns, max_active_conns, " +
		"max_concurrent_dials, conn_max_idle_time, conn_max_lifetime, conn_max_lifetime_jitter, pipeline_pool_size, " +
		"pipeline_read_buffer_size, pipeline_write_buffer_size"
	singleOptions   = commonOptions + ", db, skip_verify"
	clusterOptions  = commonOptions + ", addr, max_redirects, dialer_retries, dialer_retry_timeout, failing_timeout_seconds"
	sentinelOptions = commonOptions + ", db, skip_verify, master_name, addr, username, password, dialer_retries, dialer_retry_timeout"
)

// Open returns a Store on a client of its own, which Close closes. It does not talk to the server; the first command does.
//
//	redis://user:password@localhost:6379/0?read_timeout=2s
//	rediss://…                                             with TLS
//	redis+cluster://node1:6379?addr=node2:6379&addr=node3:6379   or rediss+cluster://
//	redis+sentinel://sentinel1:26379/0?master_name=mymaster&addr=sentinel2:26379&password=…
//
// User and password in front of a sentinel's host are the sentinel's; the server's are the options username and password. The
// options are those of go-redis; one that it does not know, and an unknown scheme, is an error that lists the known.
func Open(address string, opts ...Option) (*Store, error) {
	client, err := dial(address)
	if err != nil {
		return nil, err
	}
	s, err := TryNew(client, opts...)
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	s.owned = true
	return s, nil
}

// dial makes the client; it is the commands that dial.
func dial(address string) (redis.UniversalClient, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("redisstore: the URL cannot be parsed") // what url says repeats it, with the password
	}
	base, kind, _ := strings.Cut(u.Scheme, "+")
	if base != "redis" && base != "rediss" && u.Scheme != "unix" {
		return nil, fmt.Errorf("redisstore: unknown scheme %q; known are %s", u.Scheme, schemes)
	}
	u.Scheme = base
	switch kind {
	case "":
		return single(u)
	case "cluster":
		return cluster(u)
	case "sentinel":
		return sentinel(u)
	default:
		return nil, fmt.Errorf("redisstore: unknown scheme %q; known are %s", base+"+"+kind, schemes)
	}
}

func single(u *url.URL) (redis.UniversalClient, error) {
	o, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, unparsed(err, singleOptions)
	}
	o.ContextTimeoutEnabled = true
	return redis.NewClient(o), nil
}

func cluster(u *url.URL) (redis.UniversalClient, error) {
	o, err := redis.ParseClusterURL(u.String())
	if err != nil {
		return nil, unparsed(err, clusterOptions)
	}
	o.ContextTimeoutEnabled = true
	if o.TLSConfig != nil {
		o.TLSConfig.MinVersion = tls.VersionTLS12
	}
	return redis.NewClusterClient(o), nil
}

func sentinel(u *url.URL) (redis.UniversalClient, error) {
	o, err := redis.ParseFailoverURL(u.String())
	switch {
	case err != nil:
		return nil, unparsed(err, sentinelOptions)
	case o.MasterName == "":
		return nil, errors.New("redisstore: the URL of sentinels needs the option master_name")
	case o.RouteByLatency || o.RouteRandomly || o.ReplicaOnly || o.UseDisconnectedReplicas:
		return nil, errors.New("redisstore: reads from replicas may bring back what was deleted; leave out replica_only, " +
			"route_by_latency, route_randomly and use_disconnected_replicas")
	}
	o.ContextTimeoutEnabled = true
	return redis.NewFailoverClient(o), nil
}

// unparsed is the error for a URL that the client does not take.
func unparsed(err error, options string) error {
	return fmt.Errorf("redisstore: %w; options are %s", err, options)
}
