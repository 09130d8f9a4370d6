package remote

import (
	"context"

	"github.com/zodiac-go/zodiac/driver"
)

// The methods in this file invalidate more than one key, in the order that Write has. drop does it
// in this process. Their errors are ErrClosed, a context's, or a *OpError.

// Delete removes keys and returns how many records there were.
func (c *Client) Delete(ctx context.Context, keys []string, drop func()) (int, error) {
	if len(keys) == 0 {
		return 0, nil
	}
	leave, err := c.exclude(ctx, keys...)
	if err != nil {
		return 0, err
	}
	defer leave()
	b := c.NewBudget()
	n, err := send(ctx, c, &b, keys[0], func(ctx context.Context) (int, error) { return c.Store.Delete(ctx, keys...) })
	drop()
	return n, c.publishedAll(ctx, fault("Delete", err), c.publishKeys(ctx, &b, keys...))
}

// DeleteTags makes all records that have one of the tags invalid.
func (c *Client) DeleteTags(ctx context.Context, names []string, drop func()) error {
	b := c.NewBudget()
	err := c.renewTags(ctx, &b, names)
	drop()
	return c.publishedAll(ctx, err, c.publishTags(ctx, &b, names))
}

// Clear removes all entries of the loader and returns how many there were. There may be many, so
// its time is limited by ctx alone.
func (c *Client) Clear(ctx context.Context, drop func()) (int, error) {
	n, err := c.Store.Clear(ctx, c.Names.Prefix())
	drop()
	if late := c.writing(); err == nil && len(late) > 0 {
		// In a store without leases, writes that were under way are stored after all.
		if err := c.awaitWrites(ctx, late); err != nil {
			return n, err
		}
		var more int
		more, err = c.Store.Clear(ctx, c.Names.Prefix())
		drop()
		n += more
	}
	b := c.NewBudget()
	return n, c.publishedAll(ctx, fault("Clear", err), c.publish(ctx, &b, driver.Invalidation{Prefix: c.Names.Prefix()}))
}

func (c *Client) publishedAll(ctx context.Context, err, publishErr error) error {
	return c.published(err, publishErr, func(err error) { c.Report(ctx, err) })
}
