package redisstore

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

const schemes = "redis://, rediss:// (TLS), unix://, redis+cluster://, rediss+cluster://, " +
	"redis+sentinel:// and rediss+sentinel://; in all of them valkey may stand for redis"

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
//	valkey://…, valkeys://…, valkey+cluster://…            the same for Valkey
//
// A user and password in front of a sentinel's host are for the sentinels. Those for the master are
// the options username and password. All options are those of go-redis. An unknown scheme is an
// error that lists the known schemes, and an unknown option is one that lists the known options.
// Errors leave out all parts of the URL in which a password may stand, by mistake too.
//
// A failed dial is not repeated, so that the error of a command says why it failed. For a client of
// your own set DialerRetries to 1. [Store.Check] tells whether the server can be used.
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
		return nil, wrongURL("cannot be parsed; a password may need percent-encoding")
	}
	base, kind, _ := strings.Cut(u.Scheme, "+")
	switch base {
	case "redis", "rediss":
	case "valkey", "valkeys":
		base = "redis" + strings.TrimPrefix(base, "valkey")
	default:
		if u.Scheme != "unix" {
			return nil, unknownScheme(u)
		}
	}
	scheme := u.Scheme
	u.Scheme = base
	switch kind {
	case "":
		return newSingle(u)
	case "cluster":
		return newCluster(u)
	case "sentinel":
		return newFailover(u)
	default:
		u.Scheme = scheme
		return nil, unknownScheme(u)
	}
}

// newSingle returns a client for one server.
func newSingle(u *url.URL) (redis.UniversalClient, error) {
	o, err := parse(redis.ParseURL, u, singleOptions)
	if err != nil {
		return nil, err
	}
	o.ContextTimeoutEnabled, o.DialerRetries = true, 1
	return redis.NewClient(o), nil
}

// newCluster returns a client for a Cluster.
func newCluster(u *url.URL) (redis.UniversalClient, error) {
	if path := strings.Trim(u.Path, "/"); path != "" && path != "0" {
		return nil, wrongURL("has a path; a Cluster has the database 0 only")
	}
	o, err := parse(redis.ParseClusterURL, u, clusterOptions)
	if err != nil {
		return nil, err
	}
	o.ContextTimeoutEnabled = true
	dialOnce(u, &o.DialerRetries)
	if o.TLSConfig != nil {
		o.TLSConfig.MinVersion = tls.VersionTLS12
	}
	return redis.NewClusterClient(o), nil
}

// newFailover returns a client for the master that sentinels watch.
func newFailover(u *url.URL) (redis.UniversalClient, error) {
	o, err := parse(redis.ParseFailoverURL, u, sentinelOptions)
	switch {
	case err != nil:
		return nil, err
	case o.MasterName == "":
		return nil, errors.New("redisstore: a URL for sentinels needs the option master_name")
	case o.RouteByLatency || o.RouteRandomly || o.ReplicaOnly || o.UseDisconnectedReplicas:
		return nil, errors.New("redisstore: replicas may return deleted records; " +
			"leave out replica_only, route_by_latency, route_randomly and use_disconnected_replicas")
	}
	o.ContextTimeoutEnabled = true
	dialOnce(u, &o.DialerRetries)
	return redis.NewFailoverClient(o), nil
}

// dialOnce has the client dial once, unless the URL says how often. By default go-redis dials five
// times, until the time of the command is over, and the command's error does not say why it failed.
// Commands are repeated all the same.
func dialOnce(u *url.URL, retries *int) {
	if !u.Query().Has("dialer_retries") {
		*retries = 1
	}
}

func unknownScheme(u *url.URL) error {
	if u.Host == "" { // in "user:password@host" the user is no scheme
		return wrongURL("does not begin with a scheme and a host; known schemes are " + schemes)
	}
	return fmt.Errorf("redisstore: unknown scheme %q; known schemes are %s", u.Scheme, schemes)
}

// wrongURL returns an error that says what is wrong with a URL.
func wrongURL(what string) error {
	return errors.New("redisstore: the URL " + what + " (it is left out here, since it may contain a password)")
}

// parse parses a URL with a function of go-redis. The errors of that name parts of the URL. parse
// says instead which part is wrong: it tries the URL without options, and then with each.
func parse[O any](with func(string) (*O, error), u *url.URL, options string) (*O, error) {
	o, err := with(u.String())
	if err == nil {
		return o, nil
	}
	bare := *u
	bare.RawQuery = ""
	if _, err := with(bare.String()); err != nil {
		return nil, wrongURL("has a wrong host, port or database; the path is the number of the database")
	}
	known := strings.Split(options, ", ")
	for name, values := range u.Query() {
		if !slices.Contains(known, name) {
			return nil, wrongURL("has an unknown option; known options are " + options)
		}
		bare.RawQuery = url.Values{name: values}.Encode()
		if _, err := with(bare.String()); err != nil {
			return nil, wrongURL("has a wrong value of the option " + name)
		}
	}
	return nil, wrongURL("has wrong options; known options are " + options)
}
