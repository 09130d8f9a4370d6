package remote

import (
	"context"
	"errors"
	"slices"
)

// The methods in this file invalidate more than one key, in the order that Write has. drop does it
// in this process. Their errors are ErrClosed, a context's, or a *OpError.

// Delete removes keys and returns how many records there were. drop invalidates the key of an index.
func (c *Client) Delete(ctx context.Context, keys []string, drop func(i int)) (n int, err error) {
	if len(keys) == 0 {
		return 0, nil
	}
	ctx = Unending(ctx)
	end, err := c.begin()
	if err != nil {
		return 0, err
	}
	defer end()
	var p patience
	for some := range slices.Chunk(distinct(keys), chunkKeys) {
		b := p.next(c)
		if b.left == 0 {
			break // err is not nil
		}
		more, bad := c.deleteChunk(ctx, &b, keys, some, drop)
		n += more
		p.done(c, &b, bad == nil || more > 0)
		if err == nil {
			err = bad
		}
	}
	return n, err
}

// deleteChunk is Delete of the keys with the indexes in some.
func (c *Client) deleteChunk(ctx context.Context, b *Budget, keys []string, some []int, drop func(i int)) (int, error) {
	chunk := make([]string, len(some))
	for i, at := range some {
		chunk[i] = keys[at]
	}
	leave, err := c.exclude(ctx, b, "Delete", chunk...)
	if err != nil {
		return 0, err
	}
	defer leave()
	n, err := send(ctx, c, b, onlyKey(chunk), func(ctx context.Context) (int, error) { return c.Store.Delete(ctx, chunk...) })
	for _, at := range some {
		drop(at)
	}
	return n, c.publishedAll(ctx, fault("Delete", err), c.publishKeys(ctx, b, chunk...))
}

// DeleteTags makes all records that have one of the tags invalid. drop does so in this process.
//
// The epoch goes first: a fetch that reads generations between the two steps sees that it is gone.
func (c *Client) DeleteTags(ctx context.Context, names []string, drop func(names []string)) error {
	ctx = Unending(ctx)
	end, err := c.begin()
	if err != nil {
		return err
	}
	defer end()
	b := c.NewBudget()
	epochErr := c.removeTags(ctx, &b, c.Names.Epoch())
	err = epochErr
	var p patience
	for some := range slices.Chunk(names, c.tagChunk()) {
		bad := epochErr
		if bad == nil {
			bad = c.removeTags(ctx, &b, c.Names.Tags(some)...)
		}
		drop(some)
		bad = c.publishedAll(ctx, bad, c.publishTags(ctx, &b, some))
		if err == nil {
			err = bad
		}
		p.done(c, &b, bad == nil)
		b = p.next(c)
	}
	if err == nil { // the next fetches need not do this; if it fails, they do
		b = c.NewBudget()
		_, _ = c.watchTags(ctx, &b, nil)
	}
	return err
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
	return n, c.publishedAll(ctx, fault("Clear", err), c.publishPrefix(ctx, &b, c.Names.Prefix()))
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
