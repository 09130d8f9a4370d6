// Command quickstart shows zodiac at work on input that every machine with Go has: the source of
// the standard library. It caches a slow function, one that parses a package, and measures the
// difference.
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

	// This is all it takes. packages.Get has the type of lib.parse:
	// func(context.Context, string) (Package, error).
	packages := zodiac.NewLoader(lib.parse,
		zodiac.WithTTL(60),            // seconds
		zodiac.NoneIf(fs.ErrNotExist), // "does not exist" is remembered too
		zodiac.WithTagsFunc(tags),     // groups of entries, for DeleteTags
	)

	fmt.Print("The function parse parses a package of Go's standard library and counts its\n" +
		"exported names and its lines. It is slow, so zodiac caches its results.\n\n")
	t := &table{parsed: &lib.parsed}
	t.head()

	t.say("The first Get calls parse. Later ones find the result in memory.")
	get := func() (Package, error) { return packages.Get(ctx, "net/http") }
	slow := once(t, "Get net/http", get)
	fast := times(t, 100_000, "Get net/http", get)

	t.say("Callers that arrive while parse runs wait for its result and share it.")
	atOnce(t, 1000, "Get go/types", func() (Package, error) { return packages.Get(ctx, "go/types") })

	// The error matches fs.ErrNotExist as well: it is the one that parse returned, wrapped.
	t.say("An error named by NoneIf is remembered. Callers get it as zodiac.ErrNone.")
	missing := func() (string, error) {
		_, err := packages.Get(ctx, "no/such/package")
		if errors.Is(err, zodiac.ErrNone) {
			return "zodiac.ErrNone", nil // here, that is the result to show
		}
		return "", err
	}
	once(t, "Get no/such/package", missing)
	times(t, 1000, "Get no/such/package", missing)

	// It is the same as Get(zodiac.Overwrite(ctx), key).
	t.say("Refresh calls parse even if there is a result in memory, and replaces it.")
	once(t, "Refresh net/http", func() (Package, error) { return packages.Refresh(ctx, "net/http") })

	// Several keys are fetched at a time.
	t.say("GetMany calls parse only for what is not in memory. Here net/http is.")
	getMany := func(paths ...string) func() (Package, error) {
		return func() (sum Package, err error) {
			found, err := packages.GetMany(ctx, paths)
			for _, p := range found {
				sum.Exported += p.Exported
				sum.Lines += p.Lines
			}
			return sum, err
		}
	}
	once(t, "GetMany net/http net/url strings sort", getMany("net/http", "net/url", "strings", "sort"))

	t.say("DeleteTags deletes all entries that have a tag, and no others.")
	once(t, `DeleteTags "net"`, func() (string, error) { return "done", packages.DeleteTags(ctx, "net") })
	once(t, "GetMany net/http net/url", getMany("net/http", "net/url"))
	times(t, 1000, "GetMany strings sort", getMany("strings", "sort"))

	// Close waits for fetches that still run, and stops the timers.
	if err := errors.Join(t.err, packages.Close(ctx)); err != nil {
		return err
	}
	s := packages.Stats()
	fmt.Printf("\n%s Gets called parse %d times. A Get that found its result in memory took\n"+
		"%v. The first Get took %v, some %s times as long.\n",
		commas(int(s.Gets)), s.Fetched, short(fast), short(slow), commas(rounded(int(slow/max(fast, 1)))))
	return nil
}

// tags puts a package into the group of its top directory: net/http and net/url into "net".
func tags(path string, _ Package) []string {
	top, _, _ := strings.Cut(path, "/")
	return []string{top}
}
