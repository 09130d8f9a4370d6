package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// ready returns an error if the Store is closed or the server is too old. It asks the server for
// its version until it knows that it is new enough.
//
// The scripts need Redis 7.0: since then, replicas receive the changes that a script has made. An
// older server may send them the script instead, which does something else there, for example
// because it reads another time.
func (s *Store) ready(ctx context.Context) error {
	if s.closed.Load() {
		return errClosed
	}
	if s.checked.Load() {
		return nil
	}
	cmd := redis.NewStringCmd(ctx, "info", "server")
	if err := s.process(ctx, cmd); err != nil {
		if _, replied := errors.AsType[redis.Error](err); !replied || strings.HasPrefix(err.Error(), "LOADING") {
			return explain(err)
		}
		// The server does not tell its version, so it is taken to be new enough.
		s.checked.Store(true)
		return nil
	}
	if version, ok := tooOld(cmd.Val()); ok {
		return fmt.Errorf("redisstore: zodiac needs Redis 7.0 or later, this is %s", version)
	}
	s.checked.Store(true)
	return nil
}

// tooOld returns the version in the reply of INFO, and whether it is below 7.
func tooOld(info string) (version string, old bool) {
	_, rest, _ := strings.Cut(info, "redis_version:")
	version, _, _ = strings.Cut(rest, "\r\n")
	major, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(major)
	return version, err == nil && n < 7
}
