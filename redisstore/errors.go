package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

var (
	errClosed = errors.New("redisstore: the store is closed")
	errReply  = errors.New("redisstore: a reply is not what it should be")
	errTTL    = errors.New("redisstore: a time to live under a millisecond")
	errLease  = errors.New("redisstore: a lease for ever would outlive its holder; renew a shorter one")
)

// hints says what to do about what a server may answer, by the word it begins with.
var hints = []struct{ word, hint string }{
	{"READONLY", "this is a replica: give the address of the master, or use redis+sentinel://"},
	{"NOPERM", "the user needs get, mget, pttl, time, scan, info, ping, eval, evalsha, getrange, setrange, set, strlen, del, pexpireat, " +
		"persist, publish and subscribe (on Cluster spublish and ssubscribe), on the keys zodiac:* and the store's channel"},
	{"NOAUTH", "give the client a user name and password"},
	{"WRONGPASS", "user name or password are wrong"},
	{"OOM", "the server is full: raise maxmemory, or set maxmemory-policy to volatile-lru or the like"},
	{"LOADING", "the server is starting; it answers when it has read its data"},
	{"MOVED", "another node of the cluster has the key: use a cluster client, or redis+cluster://, which follows up to max_redirects"},
	{"CLUSTERDOWN", "the cluster has slots that no node serves"},
	{"MISCONF", "the server cannot save to disk, and refuses writes"},
}

// explain adds what to do to errors that need it. They stay what they are to errors.Is and errors.As.
func explain(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, h := range hints {
		if strings.HasPrefix(text, h.word) || h.word == "NOPERM" && strings.Contains(text, "ACL failure in script") {
			return fmt.Errorf("redisstore: %w (%s)", err, h.hint)
		}
	}
	return err
}

// ready checks once that the server is one whose scripts do what ours need: from Redis 7.0 on what a script has done reaches
// replicas as it was done, not as what it would do there.
func (s *Store) ready(ctx context.Context) error {
	if s.closed.Load() {
		return errClosed
	}
	if s.checked.Load() {
		return nil
	}
	cmd := redis.NewStringCmd(ctx, "info", "server")
	if err := s.process(ctx, cmd); err != nil {
		if _, said := errors.AsType[redis.Error](err); !said || strings.HasPrefix(err.Error(), "LOADING") {
			return explain(err)
		}
		s.checked.Store(true) // it does not tell
		return nil
	}
	if version, ok := tooOld(cmd.Val()); ok {
		return fmt.Errorf("redisstore: the server is Redis %s; it takes 7.0, or Valkey", version)
	}
	s.checked.Store(true)
	return nil
}

// tooOld returns the version that INFO tells if it is below 7.
func tooOld(info string) (string, bool) {
	_, rest, _ := strings.Cut(info, "redis_version:")
	version, _, _ := strings.Cut(rest, "\r\n")
	major, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(major)
	return version, err == nil && n < 7
}
