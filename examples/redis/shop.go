package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/redisstore"
)

// A shop is what an instance has: prices, which are in files that are slow to read.
type shop struct {
	name   string // of the instance
	dir    string
	client *redis.Client
	prices *zodiac.Loader[string, price]
}

// A price is what is cached. Besides the amount it says which instance read it from the file, and
// when.
type price struct {
	Amount string
	By     string
	Read   time.Time
}

// slow is how long it takes to read a file.
const slow = 200 * time.Millisecond

func newShop(ctx context.Context, name, url, dir string) (*shop, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	options.ContextTimeoutEnabled = true // commands end with their contexts
	s := &shop{name: name, dir: dir, client: redis.NewClient(options)}
	if err := s.client.Ping(ctx).Err(); err != nil { // so that a wrong URL is found here
		return nil, errors.Join(err, s.client.Close())
	}

	// Loaders of the same name share their entries in Redis.
	s.prices = zodiac.NewLoader(s.read,
		zodiac.WithName("prices"),
		zodiac.WithStore(redisstore.New(s.client)),
		zodiac.WithTTL(60),
		zodiac.NoneIf(fs.ErrNotExist),
	)
	return s, nil
}

// read is the fetch function.
func (s *shop) read(_ context.Context, item string) (price, error) {
	time.Sleep(slow)
	amount, err := os.ReadFile(s.file(item))
	return price{Amount: string(amount), By: s.name, Read: time.Now()}, err
}

// write changes a price, first in the file and then in the cache. When Delete has returned, no
// instance gets the old price, not even from a fetch that read it before.
func (s *shop) write(ctx context.Context, item, amount string) error {
	if err := os.WriteFile(s.file(item), []byte(amount), 0o600); err != nil {
		return err
	}
	_, err := s.prices.Delete(ctx, item)
	return err
}

func (s *shop) file(item string) string { return filepath.Join(s.dir, filepath.Base(item)) }

// do carries out a line of input and returns its result as text.
func (s *shop) do(ctx context.Context, line string) (string, error) {
	start := time.Now()
	switch words := strings.Fields(line); {
	case len(words) == 2 && words[0] == "get":
		return s.get(ctx, words[1])
	case len(words) == 3 && words[0] == "set":
		err := s.write(ctx, words[1], words[2])
		return fmt.Sprintf("done (%v)", short(time.Since(start))), err
	default:
		return "", errors.New(`want "get ITEM" or "set ITEM PRICE"`)
	}
}

func (s *shop) get(ctx context.Context, item string) (string, error) {
	ctx, stats := zodiac.CollectStats(ctx)
	start := time.Now()
	p, err := s.prices.Get(ctx, item)
	if err != nil {
		return "", err
	}
	from := "from Redis"
	switch {
	case stats().Fetched > 0:
		from = "fetched"
	case p.Read.After(start): // the file was read after this Get had begun
		from = "waited for " + p.By
	}
	return fmt.Sprintf("%s (%s, %v)", p.Amount, from, short(time.Since(start))), nil
}

// short rounds d to milliseconds, or to microseconds if it is less than one.
func short(d time.Duration) time.Duration {
	if d < time.Millisecond {
		return d.Round(time.Microsecond)
	}
	return d.Round(time.Millisecond)
}

func (s *shop) close(ctx context.Context) error {
	return errors.Join(s.prices.Close(ctx), s.client.Close())
}
