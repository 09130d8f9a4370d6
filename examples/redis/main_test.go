package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
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
	lines := regexp.MustCompile(`\d+m?s\)`).ReplaceAllString(out.String(), "…)")
	for _, want := range []string{
		"  A: get apple: 2 (fetched, …)\n  B: get apple: 2 (cached, …)\nFrom|  A: get apple: 2 (cached, …)\n  B: get apple: 2 (fetched, …)\nFrom",
		"Redis:\n  B: get apple: 2 (cached, …)\n",
		"  A: set apple 3: done\n  B: get apple: 3 (fetched, …)\n",
	} {
		either, or, _ := strings.Cut(want, "|")
		if !strings.Contains(lines, either) && (or == "" || !strings.Contains(lines, or)) {
			t.Errorf("the output lacks %q:\n%s", want, out.String())
		}
	}
}
