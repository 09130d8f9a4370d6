package redisstore

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// A token is a '.' and the grant, which is the digest of the token asked with and a stamp. No token asked with has a '.'.

// stamps is how many stamps there are.
const stamps = 10_000_000_000

// Acquire implements [driver.Leaser].
func (s *Store) Acquire(ctx context.Context, key string, ask driver.Ask) (driver.Claim, error) {
	ms, err := leaseMilliseconds(ask.Lease)
	if err != nil {
		return driver.Claim{}, err
	}
	force := ""
	if ask.Force {
		force = "1"
	}
	reply, err := s.call(ctx, acquireScript, key, digest(ask.Token), ms, ask.Seen, force, rand.Int64N(stamps))
	if err != nil {
		return driver.Claim{}, err
	}
	return claim(reply)
}

// claim reads the reply of acquire.lua.
func claim(reply []any) (driver.Claim, error) {
	switch {
	case len(reply) == 2 && reply[0] == int64(1):
		if grant, ok := reply[1].(string); ok {
			return driver.Claim{State: driver.Won, Token: "." + grant}, nil
		}
	case len(reply) == 3 && reply[0] == int64(2):
		holder, ok := reply[1].(string)
		if ms, ok2 := reply[2].(int64); ok && ok2 {
			return driver.Claim{State: driver.Busy, Holder: holder, Left: span(ms)}, nil
		}
	case len(reply) == 3 && reply[0] == int64(3):
		ms, ok := reply[1].(int64)
		if value, ok2 := reply[2].(string); ok && ok2 && isFrame(value) {
			return found(value, ms), nil
		}
	}
	return driver.Claim{}, errReply
}

// found is the claim of an ask that met a record. value is its frame, and its payload too if that is not large: an empty
// payload looks like none, and is read again.
func found(value string, ms int64) driver.Claim {
	c := driver.Claim{State: driver.Hit, Record: driver.Record{Version: producer(value), Tombstone: isMark(value)}}
	if len(value) > frameSize || c.Record.Tombstone {
		c.Whole = true
		c.Record.Data = record(value, 0).Data
		c.Record.TTL = driver.Forever
		if ms >= 0 {
			c.Record.TTL = span(ms)
		}
	}
	return c
}

// Renew implements [driver.Leaser].
func (s *Store) Renew(ctx context.Context, key, token string, p time.Duration) (bool, error) {
	ms, err := leaseMilliseconds(p)
	if err != nil {
		return false, err
	}
	grant, ok := granted(token)
	if !ok {
		return false, s.open()
	}
	return s.decide(ctx, renewScript, key, grant, ms)
}

// Commit implements [driver.Leaser].
func (s *Store) Commit(ctx context.Context, key, token string, r driver.Record) (bool, error) {
	ms, err := milliseconds(r.TTL)
	if err != nil {
		return false, err
	}
	grant, ok := granted(token)
	if !ok {
		return false, s.open()
	}
	mark := ""
	if r.Tombstone {
		mark = "1"
	}
	return s.decide(ctx, commitScript, key, grant, s.inScript(), ms, mark, blob(r.Data), r.Version)
}

// Abort implements [driver.Leaser].
func (s *Store) Abort(ctx context.Context, key, token string) (bool, error) {
	grant, ok := granted(token)
	if !ok {
		grant = digest(token)
	}
	return s.decide(ctx, abortScript, key, grant, s.inScript())
}

// granted returns the grant in a token, or false if it is not one that Acquire has returned.
func granted(token string) (string, bool) {
	if len(token) != 1+idSize || token[0] != '.' {
		return "", false
	}
	return token[1:], true
}
