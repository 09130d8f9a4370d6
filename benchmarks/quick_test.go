package main

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	runIfChild()
	os.Exit(m.Run())
}

// TestQuick runs every question in sizes that take seconds. It shows that the program still works.
func TestQuick(t *testing.T) {
	charts, traces := t.TempDir(), t.TempDir()
	writeTrace(t, filepath.Join(traces, "loop.trace"), loop(10_000, 700))
	for _, q := range questions {
		t.Run(q.name, func(t *testing.T) {
			var out bytes.Buffer
			args := []string{"-quick", "-only=" + q.name, "-charts=" + charts, "-traces=" + traces}
			if err := run(args, &out); err != nil {
				t.Fatal(err)
			}
			text := out.String()
			t.Log(text)
			if !strings.Contains(text, "### "+q.name+":") || !strings.Contains(text, "zodiac") {
				t.Errorf("the output has no table %q with zodiac in it", q.name)
			}
			if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
				t.Error("the output has a NaN or an Inf; want numbers only")
			}
			checkXML(t, filepath.Join(charts, "bench-"+q.name+".svg"))
		})
	}
}

func writeTrace(t *testing.T, path string, requests []uint32) {
	t.Helper()
	var raw []byte
	for _, k := range requests {
		raw = binary.BigEndian.AppendUint32(raw, k)
	}
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
}

// checkXML fails the test if the file is not well-formed XML.
func checkXML(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := xml.NewDecoder(f)
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
}

func TestUnknownQuestionIsAnError(t *testing.T) {
	if err := run([]string{"-quick", "-only=hits"}, io.Discard); err == nil {
		t.Error("run(-only=hits) = nil; want an error")
	}
}

func TestMedianIgnoresNaNAndInf(t *testing.T) {
	zero := 0.0
	if got := median([]float64{3, zero / zero, 1, 2, 1 / zero}); got != 2 {
		t.Errorf("median = %v; want 2", got)
	}
}
