package redisstore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
)

// A readConn is a connection that only reads.
type readConn struct {
	net.Conn
	io.Reader
}

func (c readConn) Read(p []byte) (int, error) { return c.Reader.Read(p) }

// filtered returns what a filterConn makes of text.
func filtered(r io.Reader) (string, error) {
	b, err := io.ReadAll(newFilterConn(readConn{Reader: r}, func() {}))
	return string(b), err
}

func bulk(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

func TestFilterEmptiesLargeStrings(t *testing.T) {
	huge, line := bulk(strings.Repeat("$5\r\n", maxBulk)), ">3\r\n"+bulk("message")+bulk("zodiac:0")
	for name, tt := range map[string]struct{ in, want string }{
		"Replies":  {"+OK\r\n:1\r\n$-1\r\n*-1\r\n_\r\n#t\r\n" + bulk(""), ""},
		"Message":  {line + bulk("\r\n$999999999\r\n"), ""},
		"AtLimit":  {line + bulk(strings.Repeat("x", maxBulk)), ""},
		"Huge":     {line + huge + line + bulk("after"), line + "$0\r\n\r\n" + line + bulk("after")},
		"HugeText": {"=" + huge[1:] + "+OK\r\n", "$0\r\n\r\n+OK\r\n"},
		"LongLine": {"+" + strings.Repeat("$", 100) + "\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			want := tt.want
			if want == "" {
				want = tt.in
			}
			for _, r := range []io.Reader{strings.NewReader(tt.in), iotest.OneByteReader(strings.NewReader(tt.in))} {
				if got, err := filtered(r); got != want || err != nil {
					t.Errorf("got %.60q (%d bytes), %v; want %.60q (%d bytes)", got, len(got), err, want, len(want))
				}
			}
		})
	}
}

func TestFilterRefusesWhatNoServerSends(t *testing.T) {
	for _, in := range []string{"*1000000000\r\n", "$x\r\n", "$\n", ">" + strings.Repeat("1", 100), "%99999999999999999999\r\n"} {
		if got, err := filtered(strings.NewReader(in)); !errors.Is(err, errForeignReply) {
			t.Errorf("%.20q is read as %q, %v", in, got, err)
		}
	}
}

func FuzzFilter(f *testing.F) {
	f.Add([]byte(">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n"))
	f.Add([]byte("$999999\r\nabc"))
	f.Fuzz(func(t *testing.T, in []byte) {
		whole, err := filtered(bytes.NewReader(in))
		parts, err2 := filtered(iotest.OneByteReader(bytes.NewReader(in)))
		if whole != parts || (err == nil) != (err2 == nil) || len(whole) > len(in)+4 {
			t.Errorf("read at once %q, %v; read byte by byte %q, %v", whole, err, parts, err2)
		}
	})
}
