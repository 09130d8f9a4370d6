package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// The times that rules use.
const (
	short = 60 * time.Millisecond  // of a record or lease that is to end during the rule
	past  = 130 * time.Millisecond // how long to wait until short is surely over
	long  = time.Minute            // of a record or lease that is not to end during the rule
)

// slack is how far a time left may be off: by the drift of a server's clock over a minute, and by
// rounding.
const slack = 5 * time.Millisecond

// pass waits for d.
func pass(d time.Duration) { time.Sleep(d) }

// A probe is a store under one rule. Its methods call the store and check the answer. They end the
// test if nothing more can be checked after a wrong answer.
type probe struct {
	t      *testing.T
	ctx    context.Context
	store  driver.Store
	says   string // of the rule
	prefix string // of this probe's keys, which no other probe uses
}

func newProbe(t *testing.T, s driver.Store, says string) *probe {
	return &probe{t: t, ctx: t.Context(), store: s, says: says, prefix: "storetest:" + rand.Text() + ":"}
}

func (p *probe) leaser() driver.Leaser     { return p.store.(driver.Leaser) }
func (p *probe) batcher() driver.Batcher   { return p.store.(driver.Batcher) }
func (p *probe) reader() driver.DataReader { return p.store.(driver.DataReader) }
func (p *probe) waker() driver.Waker       { return p.store.(driver.Waker) }
func (p *probe) bus() driver.Bus           { return p.store.(driver.Bus) }

// key returns a key that only this probe uses.
func (p *probe) key(name string) string { return p.prefix + name }

func (p *probe) errorf(format string, args ...any) {
	p.t.Helper()
	p.t.Errorf(format+"\n\tthe rule: %s", append(args, p.says)...)
}

func (p *probe) fatalf(format string, args ...any) {
	p.t.Helper()
	p.t.Fatalf(format+"\n\tthe rule: %s", append(args, p.says)...)
}

// ok ends the test if an operation failed.
func (p *probe) ok(op string, err error) {
	p.t.Helper()
	if err != nil {
		p.fatalf("%s: %v; want no error", op, err)
	}
}

// wantError fails the test if an operation returned no error.
func (p *probe) wantError(op string, err error) {
	p.t.Helper()
	if err == nil {
		p.errorf("%s = nil; want an error", op)
	}
}

// record returns a record to store.
func record(data string, ttl time.Duration) driver.Record {
	return driver.Record{Data: []byte(data), TTL: ttl}
}

// set stores data and returns its Version.
func (p *probe) set(key, data string, ttl time.Duration) (version string) {
	p.t.Helper()
	p.ok("Set", p.store.Set(p.ctx, key, record(data, ttl)))
	if ttl <= short { // it may have expired already
		r, _ := p.store.Get(p.ctx, key)
		return r.Version
	}
	return p.wantData(key, data).Version
}

func (p *probe) add(key, data string, want bool) {
	p.t.Helper()
	added, err := p.store.Add(p.ctx, key, record(data, long))
	p.ok("Add", err)
	if added != want {
		p.errorf("Add = %v; want %v", added, want)
	}
}

func (p *probe) expire(key string, ttl time.Duration, want bool) {
	p.t.Helper()
	done, err := p.store.Expire(p.ctx, key, ttl)
	p.ok("Expire", err)
	if done != want {
		p.errorf("Expire = %v; want %v", done, want)
	}
}

func (p *probe) delete(want int, keys ...string) {
	p.t.Helper()
	n, err := p.store.Delete(p.ctx, keys...)
	p.ok("Delete", err)
	if n != want {
		p.errorf("Delete = %d; want %d", n, want)
	}
}

func (p *probe) clear(want int, prefix string) {
	p.t.Helper()
	n, err := p.store.Clear(p.ctx, prefix)
	p.ok("Clear", err)
	if n != want {
		p.errorf("Clear(%q) = %d; want %d", prefix, n, want)
	}
}

// wantData checks that key has a record with data, and returns the record.
func (p *probe) wantData(key, data string) driver.Record {
	p.t.Helper()
	r, err := p.store.Get(p.ctx, key)
	if err != nil || string(r.Data) != data {
		p.fatalf("Get = %.40q, %v; want %.40q", r.Data, err, data)
	}
	p.wantSound(r)
	return r
}

// wantSound checks what must be true of every record that a store returns.
func (p *probe) wantSound(r driver.Record) {
	p.t.Helper()
	if r.Version == "" {
		p.errorf("the record has no Version")
	}
	if r.TTL <= 0 {
		p.errorf("the record has TTL %v; want more than 0", r.TTL)
	}
}

// wantMiss checks that Get misses key.
func (p *probe) wantMiss(key string) {
	p.t.Helper()
	r, err := p.store.Get(p.ctx, key)
	p.wantErrMiss("Get", r, err)
}

func (p *probe) wantErrMiss(op string, r driver.Record, err error) {
	p.t.Helper()
	if !errors.Is(err, driver.ErrMiss) {
		p.errorf("%s = %.40q, %v; want driver.ErrMiss", op, r.Data, err)
	}
}

// ask returns an Ask with a new token.
func ask(lease time.Duration) driver.Ask { return driver.Ask{Token: rand.Text(), Lease: lease} }

// askSeen returns an Ask to refresh the record of this version.
func askSeen(lease time.Duration, version string) driver.Ask {
	return driver.Ask{Token: rand.Text(), Lease: lease, Seen: version}
}

// askForce returns an Ask with Force.
func askForce(lease time.Duration) driver.Ask {
	return driver.Ask{Token: rand.Text(), Lease: lease, Force: true}
}

// acquire checks that the answer to a has the state want, and returns the answer.
func (p *probe) acquire(key string, a driver.Ask, want driver.ClaimState) driver.Claim {
	p.t.Helper()
	c, err := p.leaser().Acquire(p.ctx, key, a)
	p.ok("Acquire", err)
	if c.State != want {
		p.fatalf("Acquire = %v; want %v", c.State, want)
	}
	return c
}

// win checks that a wins the lease, and returns the token of the grant.
func (p *probe) win(key string, a driver.Ask) string {
	p.t.Helper()
	c := p.acquire(key, a, driver.Won)
	if c.Token == "" || c.Token == a.Token {
		p.errorf("Acquire = Token %q for an Ask with %q; want a Token made by the store", c.Token, a.Token)
	}
	return c.Token
}

// refresh gives key a record, and a lease to refresh it.
func (p *probe) refresh(key, data string, lease time.Duration) (version, token string) {
	p.t.Helper()
	version = p.set(key, data, long)
	return version, p.win(key, askSeen(lease, version))
}

func (p *probe) renew(key, token string, d time.Duration, want bool) {
	p.t.Helper()
	live, err := p.leaser().Renew(p.ctx, key, token, d)
	p.ok("Renew", err)
	if live != want {
		p.errorf("Renew = %v; want %v", live, want)
	}
}

func (p *probe) commit(key, token, data string, want bool) {
	p.t.Helper()
	p.commitRecord(key, token, record(data, long), want)
}

func (p *probe) commitRecord(key, token string, r driver.Record, want bool) {
	p.t.Helper()
	stored, err := p.leaser().Commit(p.ctx, key, token, r)
	p.ok("Commit", err)
	if stored != want {
		p.errorf("Commit = %v; want %v", stored, want)
	}
}

func (p *probe) abort(key, token string, want bool) {
	p.t.Helper()
	current, err := p.leaser().Abort(p.ctx, key, token)
	p.ok("Abort", err)
	if current != want {
		p.errorf("Abort = %v; want %v", current, want)
	}
}

// wantLost checks that nothing can be stored under token any more, and that key stays absent.
func (p *probe) wantLost(key, token string) {
	p.t.Helper()
	p.commit(key, token, "stored after all", false)
	p.wantMiss(key)
}

// eventually reports whether cond becomes true within two seconds.
func eventually(cond func() bool) bool {
	for range 400 {
		if cond() {
			return true
		}
		pass(5 * time.Millisecond)
	}
	return false
}
