package remote

import (
	"context"
	"errors"

	"github.com/zodiac-go/zodiac/driver"
)

// The methods in this file invalidate more than one key, in the order that Write has. drop does it
// in this process. Their errors are ErrClosed, a context's, or a *OpError.

// Delete removes keys and returns how many records there were.
func (c *Client) Delete(ctx context.Context, keys []string, drop func()) (int, error) {
	if len(keys) == 0 {
		return 0, nil
	}
	ctx = Unending(ctx)
	end, err := c.begin()
	if err != nil {
		return 0, err
	}
	defer end()
	b := c.NewBudget()
	leave, err := c.exclude(ctx, &b, "Delete", keys...)
	if err != nil {
		return 0, err
	}
	defer leave()
	n, err := send(ctx, c, &b, keys[0], func(ctx context.Context) (int, error) { return c.Store.Delete(ctx, keys...) })
	drop()
	return n, c.publishedAll(ctx, fault("Delete", err), c.publishKeys(ctx, &b, keys...))
}

// DeleteTags makes all records that have one of the tags invalid.
func (c *Client) DeleteTags(ctx context.Context, names []string, drop func()) error {
	ctx = Unending(ctx)
	end, err := c.begin()
	if err != nil {
		return err
	}
	defer end()
	b := c.NewBudget()
	err = c.renewTags(ctx, &b, names)
	drop()
	return c.publishedAll(ctx, err, c.publishTags(ctx, &b, names))
}

// Clear removes all entries of the loader and returns how many there were. There may be many, so
// its time is limited only while it makes no progress.
func (c *Client) Clear(ctx context.Context, drop func()) (int, error) {
	ctx = Unending(ctx)
	end, err := c.begin()
	if err != nil {
		return 0, err
	}
	defer end()
	n, err := c.clearStore(ctx)
	drop()
	if late := c.writing(); err == nil && len(late) > 0 {
		// In a store without leases, writes that were under way are stored after all.
		var more int
		if err = c.awaitWrites(ctx, late); err == nil {
			more, err = c.clearStore(ctx)
		}
		drop()
		n += more
	}
	b := c.NewBudget()
	if errors.Is(err, context.DeadlineExceeded) {
		b = Budget{} // the store has not answered for that long
	}
	return n, c.publishedAll(ctx, fault("Clear", err), c.publish(ctx, &b, driver.Invalidation{Prefix: c.Names.Prefix()}))
}

func (c *Client) clearStore(ctx context.Context) (int, error) {
	ctx, stop := c.patient(ctx)
	defer stop()
	n, err := guarded(ctx, func(ctx context.Context) (int, error) { return c.Store.Clear(ctx, c.Names.Prefix()) })
	c.saw(noKey, err)
	return n, err
}

func (c *Client) publishedAll(ctx context.Context, err, publishErr error) error {
	return c.published(err, publishErr, func(err error) { c.Report(ctx, err) })
}
