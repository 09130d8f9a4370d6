package remote

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// Work of the caller's size goes in chunks, each with a budget of its own. What a chunk has done
// stays done, whatever becomes of the others. A chunk is one command for many keys, and one message
// to other processes.
const (
	chunkKeys  = 512     // that one command writes or removes
	chunkBytes = 1 << 20 // that one command writes, unless one record has more

	readChunk = 2048 // that one command reads
	oneByOne  = 16   // keys under one budget in a store that has no command for many

	// hangs is for how many budgets in a row the chunks of a call may bring nothing. What is left is
	// not sent then: a store that hangs would hold the caller for as long as there are chunks.
	hangs = 3
)

// ReadChunk returns how many keys a caller should read by one ReadMany.
func (c *Client) ReadChunk() int {
	if c.batch == nil && c.data == nil {
		return oneByOne
	}
	return readChunk
}

// tagChunk returns how many tags are deleted under one budget.
func (c *Client) tagChunk() int {
	if c.batch == nil {
		return oneByOne
	}
	return chunkKeys
}

// A patience says when a call in chunks gives up.
type patience struct{ lost time.Duration }

// next returns the budget of the next chunk. It has no time if the call gives up.
func (p *patience) next(c *Client) Budget {
	if p.lost >= hangs*(c.Timeout-limitGrain) {
		return Budget{}
	}
	return c.NewBudget()
}

// done notes that a chunk is over, and whether anything was done.
func (p *patience) done(c *Client, b *Budget, any bool) {
	if any {
		p.lost = 0
	} else {
		p.lost += c.Timeout - b.left
	}
}

// SetMany is Set for each of writes, and returns an error, or nil, for each. Writes that have failed
// for one reason have one error. Their budgets are not used.
func (c *Client) SetMany(ctx context.Context, writes []*Write) []error {
	ctx = Unending(ctx)
	errs := make([]error, len(writes))
	end, err := c.begin()
	if err != nil {
		return slices.Repeat([]error{err}, len(writes))
	}
	defer end()
	var p patience
	for from := 0; from < len(writes); {
		to := from + chunkOf(writes[from:])
		b := p.next(c)
		switch {
		case b.left == 0:
			fill(errs[from:], &OpError{"SetMany", errSkipped})
			return errs
		case c.batch != nil:
			c.setTogether(ctx, &b, writes[from:to], errs[from:to])
			p.done(c, &b, slices.Contains(errs[from:to], nil))
		default:
			b = c.setOneByOne(ctx, &p, writes[from:to], errs[from:to])
		}
		c.publishWrites(ctx, &b, writes[from:to], errs[from:to])
		from = to
	}
	return errs
}

// ReadTags returns the generations of tags for entries that live as long as lives says by their
// names. Those that have none get one. The reads go in chunks.
func (c *Client) ReadTags(ctx context.Context, lives map[string]time.Duration) (Generations, error) {
	end, err := c.begin() // tags get generations
	if err != nil {
		return nil, err
	}
	defer end()
	gens := make(Generations, len(lives))
	for some := range slices.Chunk(slices.Collect(maps.Keys(lives)), c.tagChunk()) {
		least := make([]time.Duration, len(some))
		for i, name := range some {
			least[i] = c.tagLives([]string{name}, lives[name])[0]
		}
		b := c.NewBudget()
		texts, err := c.ensureKeys(ctx, &b, c.Names.Tags(some), least)
		if err != nil {
			return nil, fault("EnsureMany", err)
		}
		for i, name := range some {
			gens[name] = texts[i]
		}
	}
	return gens, nil
}

// chunkOf returns how many of writes, from the first on, make a chunk.
func chunkOf(writes []*Write) int {
	size := 0
	for i, w := range writes[:min(chunkKeys, len(writes))] {
		if size += len(w.Record.Data); size > chunkBytes && i > 0 {
			return i
		}
	}
	return min(chunkKeys, len(writes))
}

func fill(errs []error, err error) {
	for i := range errs {
		errs[i] = err
	}
}

func keysOf(writes []*Write) []string {
	keys := make([]string, len(writes))
	for i, w := range writes {
		keys[i] = w.Key
	}
	return keys
}

// setTogether stores and removes the records of a chunk by one command each, and invalidates the
// keys in this process.
func (c *Client) setTogether(ctx context.Context, b *Budget, writes []*Write, errs []error) {
	leave, err := c.exclude(ctx, b, "SetMany", keysOf(writes)...)
	if err != nil {
		fill(errs, err)
		return
	}
	defer leave()
	records := make(map[string]driver.Record, len(writes))
	var removed []string
	for _, w := range writes {
		if w.Remove {
			removed = append(removed, w.Key)
		} else {
			records[w.Key] = w.Record
		}
	}
	var setErr, removeErr error
	if len(records) > 0 {
		setErr = c.setRecords(ctx, b, records)
	}
	if len(removed) > 0 {
		_, removeErr = send(ctx, c, b, onlyKey(removed), func(ctx context.Context) (int, error) {
			return c.Store.Delete(ctx, removed...)
		})
		removeErr = fault("Delete", removeErr)
	}
	for i, w := range writes {
		if errs[i] = setErr; w.Remove {
			errs[i] = removeErr
		}
		w.Owner.Drop()
	}
	spread(writes, errs)
}

// setRecords stores records, by one command if the store has one. The error is a *OpError, within
// which the driver.KeyErrors may be that name which have failed.
func (c *Client) setRecords(ctx context.Context, b *Budget, records map[string]driver.Record) error {
	if c.batch != nil && len(records) > 1 {
		return fault("SetMany", do(ctx, c, b, noKey, func(ctx context.Context) error { return c.batch.SetMany(ctx, records) }))
	}
	for key, r := range records {
		err := do(ctx, c, b, key, func(ctx context.Context) error { return c.Store.Set(ctx, key, r) })
		if err != nil {
			return fault("Set", err)
		}
	}
	return nil
}

// spread gives each write its own error of a driver.KeyErrors, and none to those that it does not
// name.
func spread(writes []*Write, errs []error) {
	byText := make(map[string]error)
	for i, err := range errs {
		bad, ok := err.(*OpError) //nolint:errorlint // it comes from setRecords
		if !ok {
			continue
		}
		failed, ok := errors.AsType[driver.KeyErrors](bad.Err)
		if !ok {
			continue
		}
		own := failed[writes[i].Key]
		if errs[i] = nil; own == nil {
			continue
		}
		if byText[own.Error()] == nil {
			byText[own.Error()] = fault(bad.Op, own)
		}
		errs[i] = byText[own.Error()]
	}
}

// setOneByOne is setTogether for a store that has no command for many keys. Each has a budget. It
// returns the last one's.
func (c *Client) setOneByOne(ctx context.Context, p *patience, writes []*Write, errs []error) (last Budget) {
	for i, w := range writes {
		if w.Budget = p.next(c); w.Budget.left == 0 {
			fill(errs[i:], &OpError{"Set", errSkipped})
			return last
		}
		errs[i] = w.setUnpublished(ctx)
		last = w.Budget
		p.done(c, &last, errs[i] == nil)
	}
	return last
}

// setUnpublished is setInTurn, but tells other processes nothing.
func (w *Write) setUnpublished(ctx context.Context) error {
	op := w.set
	if w.Remove {
		op = w.delete
	}
	leave, err := w.Client.exclude(ctx, &w.Budget, "Set", w.Key)
	if err != nil {
		return err
	}
	defer leave()
	err = op(ctx)
	w.Owner.Drop()
	return err
}

// publishWrites publishes the keys of a chunk.
func (c *Client) publishWrites(ctx context.Context, b *Budget, writes []*Write, errs []error) {
	err := c.publishedAll(ctx, nil, c.publishKeys(ctx, b, keysOf(writes)...))
	for i := range errs {
		if errs[i] == nil {
			errs[i] = err
		}
	}
}

// distinct returns the indexes at which each of keys is first.
func distinct(keys []string) []int {
	seen := make(map[string]bool, len(keys))
	first := make([]int, 0, len(keys))
	for i, key := range keys {
		if !seen[key] {
			seen[key] = true
			first = append(first, i)
		}
	}
	return first
}
