package driver

import "errors"

// ErrRefused is matched by the error of a store that has answered, and refuses what was asked of it:
// the value is too large, the key has a wrong type, or the user lacks a right. Such an error says
// nothing about whether the store can be reached, so loaders go on asking. All other errors, except
// ErrMiss and those of the caller's context, count as faults: after five in a row loaders leave the
// store alone, and only ask now and then whether it answers again. An error that has a method
// RedisError, as the replies of go-redis have, counts as refused too, unless it says that the server
// cannot serve now.
var ErrRefused = errors.New("zodiac: the store refuses")

// A Sharder is a Store whose keys lie in several places, each of which may fail by itself, as those
// of a Redis Cluster do. Faults of one shard do not keep loaders from asking the others. Without it,
// a store is one shard.
type Sharder interface {
	// Shard names the shard that has key at present. A name is never empty, unless the Store does
	// not know it. Shard does not block and sends nothing.
	Shard(key string) string
}
