package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestEveryStepParsesWhatItMustAndNoMore(t *testing.T) {
	out := output(t)
	const parsed = `[\d,]+ names, [\d,]+ lines`
	for _, line := range []struct{ step, parsed, result string }{
		{`Get net/http`, "1", parsed},
		{`Get net/http, 100,000 times`, "0", parsed},
		{`Get go/types, 1,000 at once`, "1", parsed},
		{`Get no/such/package`, "1", `zodiac\.ErrNone`},
		{`Get no/such/package, 1,000 times`, "0", `zodiac\.ErrNone`},
		{`Refresh net/http`, "1", parsed},
		{`GetMany net/http net/url strings sort`, "3", parsed},
		{`DeleteTags "net"`, "0", `done`},
		{`GetMany net/http net/url`, "2", parsed},
		{`GetMany strings sort, 1,000 times`, "0", parsed},
	} {
		re := `(?m)^  ` + regexp.QuoteMeta(line.step) + ` +[\d.]+(ns|µs|ms|s) +` + line.parsed + `  ` + line.result + `$`
		if !regexp.MustCompile(re).MatchString(out) {
			t.Errorf("no line matches %s", re)
		}
	}
	end := `\n104,009 Gets called parse 9 times\. .*\n.* times as long\.\n$`
	if !regexp.MustCompile(end).MatchString(out) {
		t.Errorf("the output does not end with %s", end)
	}
	for line := range strings.Lines(out) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("a line has %d columns; want at most 80: %s", n, line)
		}
		if strings.HasSuffix(line, " \n") {
			t.Errorf("a line ends with a blank: %q", line)
		}
	}
	if t.Failed() {
		t.Logf("the output was:\n%s", out)
	}
}

// output runs the program and returns what it prints.
func output(t *testing.T) string {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	stdout := os.Stdout
	os.Stdout = file
	err = run(t.Context())
	os.Stdout = stdout
	if err != nil {
		t.Fatalf("run() = %v", err)
	}
	out, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestCommas(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", 1000005: "1,000,005"} {
		if got := commas(n); got != want {
			t.Errorf("commas(%d) = %q; want %q", n, got, want)
		}
	}
}

func TestShortHasThreeDigits(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0s", 999: "999ns", 1234: "1.23µs", 99_960: "100µs", 1_995_499_999: "2s", 123_456_789: "123ms"} {
		if got := short(d).String(); got != want {
			t.Errorf("short(%d) = %v; want %s", d, got, want)
		}
	}
}
