package remote

import (
	"context"
	"fmt"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// The methods in this file send the commands of methods that write. They are sent whether or not
// the breaker is open. Their errors are ErrClosed or a *Fault: then the command may have been
// carried out, or may be later. The caller drops the key from memory and publishes, in this order,
// whether or not the command failed.

// Set stores r under key.
func (c *Client) Set(ctx context.Context, b *Budget, key string, r driver.Record) error {
	return fault("Set", do(ctx, c, b, func(ctx context.Context) error { return c.Store.Set(ctx, key, r) }))
}

// Add stores r if key is absent.
func (c *Client) Add(ctx context.Context, b *Budget, key string, r driver.Record) (bool, error) {
	added, err := send(ctx, c, b, func(ctx context.Context) (bool, error) { return c.Store.Add(ctx, key, r) })
	return added, fault("Add", err)
}

// Delete removes keys and returns how many records there were.
func (c *Client) Delete(ctx context.Context, b *Budget, keys ...string) (int, error) {
	n, err := send(ctx, c, b, func(ctx context.Context) (int, error) { return c.Store.Delete(ctx, keys...) })
	return n, fault("Delete", err)
}

// Expire gives the record of key a new time to live, and reports whether there is one.
func (c *Client) Expire(ctx context.Context, b *Budget, key string, life time.Duration) (bool, error) {
	there, err := send(ctx, c, b, func(ctx context.Context) (bool, error) { return c.Store.Expire(ctx, key, life) })
	return there, fault("Expire", err)
}

// ExpireLater is Expire in the background, for a sliding record that is used.
func (c *Client) ExpireLater(ctx context.Context, key string, life time.Duration) {
	c.later(ctx, func(ctx context.Context) {
		_, err := c.Store.Expire(ctx, key, life)
		c.breaker.saw(err)
	})
}

// Clear removes all entries of the loader and returns how many there were. There may be many, so
// its time is limited by ctx alone.
func (c *Client) Clear(ctx context.Context) (int, error) {
	n, err := c.Store.Clear(ctx, c.Names.Prefix())
	return n, fault("Clear", err)
}

// A Lock is the lease of a key for a write that depends on what it reads.
type Lock struct{ lease lease }

// Lock takes the lease of key from its holder. It returns nil if the store lends no leases: then
// nothing keeps other processes from writing.
func (c *Client) Lock(ctx context.Context, b *Budget, key string) (*Lock, error) {
	if c.leaser == nil {
		return nil, nil
	}
	l, state, err := c.lock(ctx, b, key, "", true)
	if err == nil && state != driver.Won {
		err = &Fault{"Acquire", fmt.Errorf("it answered %v to an ask by force", state)}
	}
	return l, err
}

// TryLock asks for the lease of a key whose record has the Version seen. The Lock is valid if the
// answer is Won. The store lends leases.
func (c *Client) TryLock(ctx context.Context, b *Budget, key, seen string) (*Lock, driver.ClaimState, error) {
	return c.lock(ctx, b, key, seen, false)
}

func (c *Client) lock(ctx context.Context, b *Budget, key, seen string, force bool) (*Lock, driver.ClaimState, error) {
	l := &Lock{lease{c: c, key: key, values: context.WithoutCancel(ctx)}}
	a, sent := l.lease.ask(seen, force), time.Now()
	claim, err := send(ctx, c, b, func(ctx context.Context) (driver.Claim, error) { return c.leaser.Acquire(ctx, key, a) })
	if err != nil {
		l.lease.abort(a.Token)
		return l, 0, fault("Acquire", err)
	}
	if claim.State == driver.Won {
		l.lease.grant(claim.Token, sent, a.Lease)
	}
	return l, claim.State, nil
}

// Commit stores r and ends the lease. It returns false if the lease was revoked or is over.
func (l *Lock) Commit(ctx context.Context, b *Budget, r driver.Record) (bool, error) {
	ok, err := l.lease.commit(ctx, b, r, send[bool])
	return ok, fault("Commit", err)
}

// End ends the lease, and reports whether the caller may still act under it.
func (l *Lock) End() (live bool) {
	_, live = l.lease.endLive()
	return live
}

// Close gives the lease back if it has not ended. The Lock may be nil.
func (l *Lock) Close() {
	if l != nil {
		l.lease.close()
	}
}
