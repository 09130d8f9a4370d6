// Command quickstart shows zodiac at work on input that every machine with Go has: the source of the standard library.
// It caches a function that is slow for a reason, one that parses a package, and measures the difference.
//
//	go run ./examples/quickstart
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"strings"
	"sync"

	"github.com/zodiac-go/zodiac"
)

func main() {
	log.SetFlags(0)
	if err := run(context.Background()); err != nil {
		log.Fatalf("quickstart: %v", err)
	}
}

func run(ctx context.Context) error {
	lib, err := findLibrary(ctx)
	if err != nil {
		return err
	}

	// This is all it takes: packages.Get has the type of lib.Parse, func(context.Context, string) (Package, error).
	packages := zodiac.NewLoader(lib.Parse,
		zodiac.WithTTL(60),            // seconds
		zodiac.NoneIf(fs.ErrNotExist), // "does not exist" is an answer, to be remembered like others
		zodiac.WithTagsFunc(tags),     // groups of entries, for DeleteTags
	)

	fmt.Printf("Parsing packages of %s, cached by zodiac.\n\n", lib.src)
	fmt.Printf(row, "", "TIME", "PARSED", "RESULT")
	t := &table{parsed: &lib.parsed}

	// The first Get calls Parse. Those after it find the result in memory.
	get := func() (any, error) { return packages.Get(ctx, "net/http") }
	first := t.show("Get net/http", get)
	second := t.show("Get net/http again", get)
	many := t.show("Get net/http 100,000 times more", func() (any, error) {
		for range 99_999 {
			if _, err := packages.Get(ctx, "net/http"); err != nil {
				return nil, err
			}
		}
		return get()
	})
	t.note("  So the second Get is %s as fast as the first, and one of the 100,000, at %v, %s.\n",
		times(first, second), short(many/100_000), times(first, many/100_000))

	// Whoever asks for a key that is being fetched waits for that fetch, and shares its result.
	t.show("1,000 goroutines Get go/types at once", func() (any, error) {
		var wg sync.WaitGroup
		errs := make([]error, 1000)
		for i := range errs {
			wg.Go(func() { _, errs[i] = packages.Get(ctx, "go/types") })
		}
		wg.Wait()
		return "parsed for one, shared by all", errors.Join(errs...)
	})

	// An error named by NoneIf is remembered, and callers still see it: errors.Is(err, fs.ErrNotExist) holds as well.
	missing := func() (any, error) {
		p, err := packages.Get(ctx, "no/such/package")
		if errors.Is(err, zodiac.ErrNone) {
			return err, nil // here, that is the result to show
		}
		return p, err
	}
	t.show("Get no/such/package", missing)
	t.show("Get no/such/package again", missing)

	// Refresh fetches even if there is an entry, and replaces it. It is Get(zodiac.Overwrite(ctx), key).
	t.show("Refresh net/http", func() (any, error) {
		return packages.Refresh(ctx, "net/http")
	})

	// GetMany fetches only what is missing, several keys at a time. Here net/http is not.
	getMany := func(paths ...string) (any, error) {
		found, err := packages.GetMany(ctx, paths)
		var total Package
		for _, p := range found {
			total.Exported += p.Exported
			total.Lines += p.Lines
		}
		return total, err
	}
	t.show("GetMany net/http net/url strings sort", func() (any, error) {
		return getMany("net/http", "net/url", "strings", "sort")
	})

	// Deleting a tag deletes all entries that have it, and no others.
	t.show(`DeleteTags "net"`, func() (any, error) {
		return "net/... is gone, the rest stays", packages.DeleteTags(ctx, "net")
	})
	t.show("GetMany net/http net/url", func() (any, error) { return getMany("net/http", "net/url") })
	t.show("GetMany strings sort", func() (any, error) { return getMany("strings", "sort") })

	s := packages.Stats()
	t.note("\n%s Gets: %s answered from the cache, %d by a call of Parse, %d failed; %d entries in memory.\n",
		commas(int(s.Gets)), commas(int(s.HitMemory+s.Shared)), s.Fetched, s.Failed, s.Size)

	// Close waits for fetches that still run, and stops the timers.
	return errors.Join(t.err, packages.Close(ctx))
}

// tags puts a package into the group of its top directory: net/http and net/url into "net".
func tags(path string, _ Package) []string {
	top, _, _ := strings.Cut(path, "/")
	return []string{top}
}
