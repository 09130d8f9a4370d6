package memstore

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// Acquire implements [driver.Leaser]. A Hit always carries the whole record.
func (s *Store) Acquire(ctx context.Context, key string, ask driver.Ask) (driver.Claim, error) {
	if err := checkAsk(ask); err != nil {
		return driver.Claim{}, err
	}
	claim, err := s.claim(ctx, key, ask)
	claim.Record.Data = bytes.Clone(claim.Record.Data)
	return claim, err
}

// claim is Acquire of a record whose Data is the cell's.
func (s *Store) claim(ctx context.Context, key string, ask driver.Ask) (driver.Claim, error) {
	if err := s.enter(ctx); err != nil {
		return driver.Claim{}, err
	}
	defer s.mu.Unlock()
	c, now := s.cell(key), s.now()
	switch {
	case c.leased(now) && !c.void && c.asked() == ask.Token:
		// The asker did not get the answer and asks again.
		return driver.Claim{State: driver.Won, Token: c.token}, nil
	case ask.Force:
		return s.grant(key, c, ask, now), nil
	case c.alive(now) && (c.mark || c.version != ask.Seen):
		return driver.Claim{State: driver.Hit, Record: c.record(now), Whole: true}, nil
	case c.leased(now):
		return driver.Claim{State: driver.Busy, Left: c.deadline - now, Holder: c.serial()}, nil
	default:
		return s.grant(key, c, ask, now), nil
	}
}

// grant gives the lease on key to the asker, beside the record that is there. Caller holds mu.
//
// The serial number in the token is what keeps a late copy of an ask harmless: it may be granted, but under another
// token than the one its caller fetched under, which thus never comes back.
func (s *Store) grant(key string, old *cell, ask driver.Ask, now time.Duration) driver.Claim {
	c := *old
	c.token, c.void, c.deadline = ask.Token+"."+s.next(), false, after(now, ask.Lease)
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
		// Repeated: whoever committed under a token made its record's version of it.
		return c.version == token && c.alive(now), nil
	case c.void, r.Version != "" && (r.Version != c.version || !c.alive(now)):
		s.end(key, c)
		return false, nil
	}
	dies := after(now, r.TTL)
	if r.Version != "" {
		dies = c.dies
	}
	s.put(key, &cell{version: token, mark: r.Tombstone, dies: dies, data: data})
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
	return c.leased(now) && !c.void, nil
}

// end takes the lease from a key, and tells those who wait for it. A record stays as it is. Caller holds mu.
func (s *Store) end(key string, old *cell) {
	c := *old
	c.token, c.void, c.deadline = "", false, 0
	s.put(key, &c)
	s.wake(key)
}

// checkAsk returns what is wrong with an ask.
func checkAsk(ask driver.Ask) error {
	if n := len(ask.Token); n < 16 || n > 64 {
		return fmt.Errorf("memstore: a token of %d characters; it has 16 to 64", n)
	}
	for _, r := range ask.Token {
		if !tokenRune(r) {
			return fmt.Errorf("memstore: %q in a token; it has letters, digits, '-' and '_'", r)
		}
	}
	return checkTTL(ask.Lease)
}

func tokenRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
}
