package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// TestMain is also the instances, which are this program started again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-instance" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestInstancesShareOneFetchAndSeeEachOthersChanges(t *testing.T) {
	var out strings.Builder
	if err := run("", "", &out); err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`\d+(µs|ms)\)`).ReplaceAllString(out.String(), "…)")
	for _, want := range []string{
		"Redis.\nThe price of an item is in a file that takes 200ms to read.\n\nA sets",
		"2.\n  A: set apple 2: done (…)\n",
		"\n  A: get apple: 2 (fetched, …)\n  B: get apple: 2 (waited for A, …)\n|" +
			"\n  A: get apple: 2 (waited for B, …)\n  B: get apple: 2 (fetched, …)\n",
		"Redis.\n  B: get apple: 2 (from Redis, …)\n",
		"  A: set apple 3: done (…)\n  B: get apple: 3 (fetched, …)\n",
	} {
		either, or, _ := strings.Cut(want, "|")
		if !strings.Contains(text, either) && (or == "" || !strings.Contains(text, or)) {
			t.Errorf("the output lacks %q:\n%s", want, out.String())
		}
	}
	for line := range strings.Lines(out.String()) {
		if n := utf8.RuneCountInString(line) - 1; n > 80 {
			t.Errorf("a line has %d columns; want at most 80: %s", n, line)
		}
	}
}

func TestShortKeepsMicrosecondsOfShortTimesOnly(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0s", 1499: "1µs", 250_700: "251µs", 999_400: "999µs", 1_234_567: "1ms", 200_500_000: "201ms"} {
		if got := short(d).String(); got != want {
			t.Errorf("short(%d) = %v; want %s", d, got, want)
		}
	}
}
