package memstore

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// Acquire implements [driver.Leaser]. A Hit is always Whole.
func (s *Store) Acquire(ctx context.Context, key string, ask driver.Ask) (driver.Claim, error) {
	if err := checkAsk(ask); err != nil {
		return driver.Claim{}, err
	}
	claim, err := s.claim(ctx, key, ask)
	claim.Record.Data = bytes.Clone(claim.Record.Data)
	return claim, err
}

// claim is Acquire, but the Data it returns is the cell's own.
func (s *Store) claim(ctx context.Context, key string, ask driver.Ask) (driver.Claim, error) {
	if err := s.enter(ctx); err != nil {
		return driver.Claim{}, err
	}
	defer s.mu.Unlock()
	c, now := s.cell(key), s.now()
	switch {
	case c.leased(now) && !c.revoked && c.asked() == ask.Token:
		// The Ask is repeated. Its caller may not have received the first answer.
		return driver.Claim{State: driver.Won, Token: c.token}, nil
	case ask.Force:
		return s.grant(key, c, ask, now), nil
	case c.unexpired(now) && (c.tombstone || c.version != ask.Seen):
		return driver.Claim{State: driver.Hit, Record: c.record(now), Whole: true}, nil
	case c.leased(now):
		return driver.Claim{State: driver.Busy, Left: c.deadline - now, Holder: c.serial()}, nil
	default:
		return s.grant(key, c, ask, now), nil
	}
}

// grant grants the lease on key to ask, and leaves a record as it is. The caller holds mu.
//
// The serial number in the token makes a late copy of an Ask harmless. The copy may win the
// lease, but under a new token. The token under which its caller has fetched never becomes good
// again.
func (s *Store) grant(key string, old *cell, ask driver.Ask, now time.Duration) driver.Claim {
	c := *old
	c.token, c.revoked, c.deadline = ask.Token+"."+s.next(), false, after(now, ask.Lease)
	s.put(key, &c)
	return driver.Claim{State: driver.Won, Token: c.token}
}

// Renew implements [driver.Leaser].
func (s *Store) Renew(ctx context.Context, key, token string, p time.Duration) (bool, error) {
	if err := checkTTL(p); err != nil {
		return false, err
	}
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.mu.Unlock()
	old, now := s.cell(key), s.now()
	if old.token != token || !old.leased(now) {
		return false, nil
	}
	c := *old
	c.deadline = max(c.deadline, after(now, p))
	s.put(key, &c)
	return true, nil
}

// Commit implements [driver.Leaser].
func (s *Store) Commit(ctx context.Context, key, token string, r driver.Record) (bool, error) {
	if err := s.check(key, r); err != nil {
		return false, err
	}
	data := bytes.Clone(r.Data)
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.mu.Unlock()
	c, now := s.cell(key), s.now()
	switch {
	case token == "":
		return false, nil
	case c.token != token:
		// A Commit makes its token the record's version, so a second Commit finds it there.
		return c.version == token && c.unexpired(now), nil
	case c.revoked, r.Version != "" && (r.Version != c.version || !c.unexpired(now)):
		s.end(key, c)
		return false, nil
	}
	expires := after(now, r.TTL)
	if r.Version != "" {
		expires = c.expires
	}
	s.put(key, &cell{version: token, tombstone: r.Tombstone, expires: expires, data: data})
	s.wake(key)
	return true, nil
}

// Abort implements [driver.Leaser].
func (s *Store) Abort(ctx context.Context, key, token string) (bool, error) {
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.mu.Unlock()
	c, now := s.cell(key), s.now()
	if token != c.token && token != c.asked() {
		return false, nil
	}
	s.end(key, c)
	return c.leased(now) && !c.revoked, nil
}

// end removes the lease of key and wakes those who wait for it. A record stays as it is. The caller
// holds mu.
func (s *Store) end(key string, old *cell) {
	c := *old
	c.token, c.revoked, c.deadline = "", false, 0
	s.put(key, &c)
	s.wake(key)
}

// checkAsk returns an error for an Ask that breaks the contract.
func checkAsk(ask driver.Ask) error {
	if n := len(ask.Token); n < 16 || n > 64 {
		return fmt.Errorf("memstore: a token of %d bytes: 16 to 64 are needed", n)
	}
	for _, r := range ask.Token {
		if !tokenRune(r) {
			return fmt.Errorf("memstore: %q in a token: only letters, digits, '-' and '_' are allowed", r)
		}
	}
	return checkTTL(ask.Lease)
}

func tokenRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
}
