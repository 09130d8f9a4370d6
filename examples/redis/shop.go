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

// A shop knows prices. They are in files, which are slow to read.
type shop struct {
	dir    string
	client *redis.Client
	prices *zodiac.Loader[string, string]
}

func newShop(url, dir string) (*shop, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	options.ContextTimeoutEnabled = true // calls end with their contexts
	s := &shop{dir: dir, client: redis.NewClient(options)}

	// Instances that give the same name share what is cached.
	s.prices = zodiac.NewLoader(s.read,
		zodiac.WithName("prices"),
		zodiac.WithStore(redisstore.New(s.client)),
		zodiac.WithTTL(60),
		zodiac.NoneIf(fs.ErrNotExist),
	)
	return s, nil
}

// read is the slow function.
func (s *shop) read(_ context.Context, item string) (string, error) {
	time.Sleep(200 * time.Millisecond)
	price, err := os.ReadFile(filepath.Join(s.dir, filepath.Base(item)))
	return string(price), err
}

// write changes a price. Delete comes after: when it has returned, no instance gets the old one, not even from a fetch that
// had read it before.
func (s *shop) write(ctx context.Context, item, price string) error {
	if err := os.WriteFile(filepath.Join(s.dir, filepath.Base(item)), []byte(price), 0o600); err != nil {
		return err
	}
	_, err := s.prices.Delete(ctx, item)
	return err
}

// do does what a line says, and tells what came of it.
func (s *shop) do(ctx context.Context, line string) (string, error) {
	switch words := strings.Fields(line); {
	case len(words) == 2 && words[0] == "get":
		return s.get(ctx, words[1])
	case len(words) == 3 && words[0] == "set":
		return "done", s.write(ctx, words[1], words[2])
	default:
		return "", errors.New(`want "get ITEM" or "set ITEM PRICE"`)
	}
}

func (s *shop) get(ctx context.Context, item string) (string, error) {
	ctx, stats := zodiac.CollectStats(ctx)
	start := time.Now()
	price, err := s.prices.Get(ctx, item)
	took := time.Since(start).Round(time.Millisecond)
	if err != nil {
		return "", err
	}
	from := "cached"
	if stats().Fetched > 0 {
		from = "fetched"
	}
	return fmt.Sprintf("%s (%s, %v)", price, from, took), nil
}

func (s *shop) close(ctx context.Context) error {
	return errors.Join(s.prices.Close(ctx), s.client.Close())
}
