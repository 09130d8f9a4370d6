package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestEveryStepParsesWhatItMustAndNoMore(t *testing.T) {
	out := output(t)
	for _, line := range []struct{ step, parsed, result string }{
		{`Get net/http`, "1", `.* exported names, .* lines`},
		{`Get net/http again`, "0", `.* exported names, .* lines`},
		{`Get net/http 100,000 times more`, "0", `.* exported names, .* lines`},
		{`1,000 goroutines Get go/types at once`, "1", `.*`},
		{`Get no/such/package`, "1", `zodiac: none: .*`},
		{`Get no/such/package again`, "0", `zodiac: none: .*`},
		{`Refresh net/http`, "1", `.* exported names, .* lines`},
		{`GetMany net/http net/url strings sort`, "3", `.* exported names, .* lines`},
		{`DeleteTags "net"`, "0", `.*`},
		{`GetMany net/http net/url`, "2", `.* exported names, .* lines`},
		{`GetMany strings sort`, "0", `.* exported names, .* lines`},
	} {
		re := `(?m)^` + regexp.QuoteMeta(line.step) + ` +[\d.]+(ns|µs|ms|s) +` + line.parsed + `   ` + line.result + `$`
		if !regexp.MustCompile(re).MatchString(out) {
			t.Errorf("no line matches %s", re)
		}
	}
	end := "101,013 Gets: 101,004 answered from the cache, 9 by a call of Parse, 0 failed; 6 entries in memory.\n"
	if !strings.HasSuffix(out, end) {
		t.Errorf("the output does not end with %q", end)
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
