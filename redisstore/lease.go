package redisstore

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// The scripts know a lease by its grant: the digest of the token in the Ask, and a stamp of ten
// digits that differs from grant to grant. The token in a Claim is a '.' and the grant. The token
// in an Ask never has a '.', so the two kinds are told apart.

// stampLimit is one more than the largest stamp.
const stampLimit = 10_000_000_000

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
	reply, err := s.call(ctx, acquireScript, key, digest(ask.Token), ms, ask.Seen, force, rand.Int64N(stampLimit))
	if err != nil {
		return driver.Claim{}, err
	}
	return parseClaim(reply)
}

// parseClaim reads the reply of lua/acquire.lua.
func parseClaim(reply []any) (driver.Claim, error) {
	switch {
	case len(reply) == 2 && reply[0] == int64(1):
		if grant, ok := reply[1].(string); ok {
			return driver.Claim{State: driver.Won, Token: "." + grant}, nil
		}
	case len(reply) == 3 && reply[0] == int64(2):
		holder, ok := reply[1].(string)
		if ms, ok2 := reply[2].(int64); ok && ok2 {
			return driver.Claim{State: driver.Busy, Holder: holder, Left: duration(ms)}, nil
		}
	case len(reply) == 3 && reply[0] == int64(3):
		ms, ok := reply[1].(int64)
		if value, ok2 := reply[2].(string); ok && ok2 && isFrame(value) {
			return hit(value, ms), nil
		}
	case len(reply) == 1 && reply[0] == int64(4):
		r := driver.Record{Version: foreignID, TTL: driver.Forever}
		return driver.Claim{State: driver.Hit, Record: r, Whole: true}, nil
	}
	return driver.Claim{}, errReply
}

// hit returns the Claim for a record that has ms left, or that never ends if ms is negative. value
// is the whole value of the key, or only the frame if the record is large. A record without data
// looks like a large one, so its Claim is not Whole either, and the caller reads it again.
func hit(value string, ms int64) driver.Claim {
	c := driver.Claim{
		State:  driver.Hit,
		Record: driver.Record{Version: producer(value), Tombstone: isTombstone(value)},
	}
	if len(value) > frameSize || c.Record.Tombstone {
		c.Whole = true
		c.Record.Data = record(value, 0).Data
		c.Record.TTL = driver.Forever
		if ms >= 0 {
			c.Record.TTL = duration(ms)
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
	grant, ok := grantOf(token)
	if !ok {
		return false, s.checkOpen()
	}
	return s.run(ctx, renewScript, key, grant, ms)
}

// Commit implements [driver.Leaser].
func (s *Store) Commit(ctx context.Context, key, token string, r driver.Record) (bool, error) {
	ms, err := milliseconds(r.TTL)
	if err != nil {
		return false, err
	}
	grant, ok := grantOf(token)
	if !ok {
		return false, s.checkOpen()
	}
	tombstone := ""
	if r.Tombstone {
		tombstone = "1"
	}
	return s.run(ctx, commitScript, key, grant, s.publishVerb(), ms, tombstone, withFrame(r.Data), r.Version)
}

// Abort implements [driver.Leaser]. If token is that of an Ask, the script gets its digest, the
// first part of each of its grants.
func (s *Store) Abort(ctx context.Context, key, token string) (bool, error) {
	grant, ok := grantOf(token)
	if !ok {
		grant = digest(token)
	}
	return s.run(ctx, abortScript, key, grant, s.publishVerb())
}

// grantOf returns the grant in token. ok is false if token is not one that Acquire has returned.
func grantOf(token string) (grant string, ok bool) {
	if len(token) != 1+idSize || token[0] != '.' {
		return "", false
	}
	return token[1:], true
}
