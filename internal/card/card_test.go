package card

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestCardIsWellFormedWhateverTheTextsAre(t *testing.T) {
	c := New(300, `a < b & "c"`, "x > y")
	c.Text("name", "end", 10, 20.25, "<&>")
	text := c.SVG(200)
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
	}
	for _, want := range []string{
		`width="300" height="200" viewBox="0 0 300 200"`,
		`<text class="name" text-anchor="end" x="10" y="20.2">&lt;&amp;&gt;</text>`,
		`prefers-color-scheme: dark`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

func TestLongTitlesAreBrokenAndMoveTheRestDown(t *testing.T) {
	short, long := New(500, "a title"), New(500, strings.Repeat("many words ", 20))
	if n := strings.Count(long.SVG(100), `class="title"`); n < 5 {
		t.Errorf("the title has %d lines; want 5 or more", n)
	}
	if short.Top() >= long.Top() {
		t.Errorf("Top = %d with a short title, %d with a long one", short.Top(), long.Top())
	}
}

func TestWrapBreaksBetweenWords(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"one", []string{"one"}},
		{"one two", []string{"one two"}},
		{"one two three", []string{"one two", "three"}},
		{"a wordthatislong b", []string{"a", "wordthatislong", "b"}},
		{"µµµ µµµ µ", []string{"µµµ µµµ", "µ"}},
	} {
		if got := wrap(c.text, 7); !slices.Equal(got, c.want) {
			t.Errorf("wrap(%q, 7) = %q; want %q", c.text, got, c.want)
		}
	}
}

func TestNumberAndCount(t *testing.T) {
	for f, want := range map[float64]string{0: "0", 12: "12", 0.25: "0.2", 3.96: "4"} {
		if got := Number(f); got != want {
			t.Errorf("Number(%v) = %s; want %s", f, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", 1000005: "1,000,005"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %s; want %s", n, got, want)
		}
	}
}
