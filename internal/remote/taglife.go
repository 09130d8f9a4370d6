package remote

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// Generations expire, like all that is written into the store. A text is never written twice, so a
// generation that has ended never comes back, and ending does to entries what deleting the tag does.
// So how long a generation lives is a matter of hits only:
//
//   - A generation outlives the entries that carry it. Whoever writes an entry, or lengthens the
//     life of one, first sees to it that its tags live as long, and tagMargin longer.
//   - An entry may live for ever, and generations may not: then nobody could remove those of entries
//     that were deleted. They live for the half of a year that longestNeed is, and reads of the
//     entry renew them.
//   - The epoch and the loader's own generations are read before a fetch and compared after it. They
//     live for a day at least, so that few fetches are too long for them.
//
// A generation is given half as much again as it needs, so that it is not renewed by each write.
const (
	tagMargin   = 10 * time.Second
	watchedLife = 24 * time.Hour
	longestNeed = 183 * 24 * time.Hour
)

// tagLife returns how long the generation of a tag is to live at least if an entry of this life
// carries it.
func tagLife(entry time.Duration) time.Duration { return min(entry, longestNeed) + tagMargin }

// tagLives returns tagLife for each of names.
func (c *Client) tagLives(names []string, entry time.Duration) []time.Duration {
	lives := make([]time.Duration, len(names))
	for i, name := range names {
		if lives[i] = tagLife(entry); c.isOwn(name) {
			lives[i] = max(lives[i], watchedLife)
		}
	}
	return lives
}

// tagEnds are the earliest times at which generations end, as far as this process knows, by their
// keys. They are written by others too, and may be lost, so this only saves commands. The zero
// tagEnds is ready.
type tagEnds struct {
	mu   sync.Mutex // guards the field below
	ends map[string]time.Time
}

// maxTagEnds is how many there may be. Those that are forgotten are asked for once more.
const maxTagEnds = 1 << 13

// reach reports whether the generation under key is known to live until t.
func (e *tagEnds) reach(key string, t time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	end, ok := e.ends[key]
	return ok && !end.Before(t)
}

// note notes when the generation under key ends.
func (e *tagEnds) note(key string, end time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ends == nil {
		e.ends = make(map[string]time.Time)
	}
	if len(e.ends) >= maxTagEnds {
		now := time.Now()
		maps.DeleteFunc(e.ends, func(_ string, end time.Time) bool { return end.Before(now) })
		if len(e.ends) >= maxTagEnds {
			clear(e.ends)
		}
	}
	e.ends[key] = end
}

func (e *tagEnds) forget(keys ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, key := range keys {
		delete(e.ends, key)
	}
}

// ensureKeys returns the texts of generations. Each lives for the time in lives with the index of
// its key; a key without one gets one. Where that time is 0 the key is only read, and the text may
// be empty. The last key is read after the others are done.
//
// It takes one round trip, or two if a generation is gone that this process has seen.
func (c *Client) ensureKeys(ctx context.Context, b *Budget, keys []string, lives []time.Duration) ([]string, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	texts, err := c.ensureAtOnce(ctx, b, keys, lives)
	if err == nil {
		c.renewLater(ctx, keys, lives) // others may have made them for entries that live less long
	}
	return texts, err
}

// ensureAtOnce is ensureKeys, but generations that were only read may end sooner.
func (c *Client) ensureAtOnce(ctx context.Context, b *Budget, keys []string, lives []time.Duration) ([]string, error) {
	for try := 0; ; try++ {
		sent := time.Now()
		records, err := c.ensureRecords(ctx, b, keys, c.minima(keys, lives, sent))
		if err != nil {
			return nil, err
		}
		texts, gone := make([]string, len(keys)), false
		for i, r := range records {
			texts[i] = string(r.Data)
			if len(r.Data) == 0 { // absent, or not a generation
				c.tagEnds.forget(keys[i])
				gone = gone || lives[i] > 0
			} else {
				c.tagEnds.note(keys[i], sent.Add(min(r.TTL, 2*longestNeed)))
			}
		}
		switch {
		case !gone:
			return texts, nil
		case try > 0:
			return nil, errLost
		}
	}
}

// minima returns what EnsureMany is asked for: a new generation, half as long again as needed, for
// the keys whose generations may not live long enough.
func (c *Client) minima(keys []string, lives []time.Duration, now time.Time) []driver.Record {
	minima := make([]driver.Record, len(keys))
	for i, key := range keys {
		if lives[i] > 0 && !c.tagEnds.reach(key, now.Add(lives[i])) {
			minima[i] = driver.Record{Data: []byte(newGeneration()), TTL: lives[i] + lives[i]/2}
		}
	}
	return minima
}

// ensureRecords is EnsureMany. A record that is absent is zero. All are needed, so nothing is sent if
// a shard of one is known to fail.
func (c *Client) ensureRecords(ctx context.Context, b *Budget, keys []string, minima []driver.Record) ([]driver.Record, error) {
	if c.backend.failing.Load() > 0 {
		c.probe()
		if slices.ContainsFunc(keys, c.backend.isOpen) {
			return nil, errSkipped
		}
	}
	records, errs := c.readAllowed(ctx, b, keys, func(ctx context.Context, keys []string) ([]driver.Record, []error) {
		if c.batch != nil {
			return c.batch.EnsureMany(ctx, keys, minima)
		}
		records, errs := make([]driver.Record, len(keys)), make([]error, len(keys))
		for i, key := range keys {
			records[i], errs[i] = c.ensureOne(ctx, key, minima[i])
		}
		return records, errs
	})
	return records, cmp.Or(errs...)
}

// ensureOne is EnsureMany of one key, for a store that has no such method.
func (c *Client) ensureOne(ctx context.Context, key string, least driver.Record) (driver.Record, error) {
	if least.TTL > 0 {
		if added, err := c.Store.Add(ctx, key, least); added || err != nil {
			least.Version = "new"
			return least, err
		}
	}
	r, err := c.Store.Get(ctx, key)
	if err == nil && r.TTL < least.TTL {
		r.TTL = least.TTL
		_, err = c.Store.Expire(ctx, key, least.TTL)
	}
	return r, err
}

// renewLater lengthens in the background the lives of generations that may end before the times in
// lives are over. Those that are gone may get new ones, which harms nobody.
func (c *Client) renewLater(ctx context.Context, keys []string, lives []time.Duration) {
	now := time.Now()
	var short []string
	var least []time.Duration
	for i, key := range keys {
		if lives[i] > 0 && !c.tagEnds.reach(key, now.Add(lives[i]-tagMargin/2)) {
			short, least = append(short, key), append(least, lives[i])
		}
	}
	if len(short) == 0 {
		return
	}
	c.later(ctx, func(ctx context.Context) {
		b := c.NewBudget()
		_, _ = c.ensureAtOnce(ctx, &b, short, least) // else the entry ends sooner
	})
}
