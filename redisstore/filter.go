package redisstore

import (
	"errors"
	"net"
	"strconv"

	"github.com/zodiac-go/zodiac/internal/bus"
)

// Limits of what is read from the connection of a subscription. Anyone who may publish on a channel
// decides how large a message is, and the client reads a message whole.
const (
	maxBulk     = bus.MaxMessage
	maxElements = 1024 // of an array, which is read before the first of them
	maxHeader   = 32   // of the line in front of them
)

var errForeignReply = errors.New("redisstore: the server sends what no subscription is sent")

// A filterConn makes strings empty that are larger than any message of zodiac, as they arrive. So
// they cost neither memory nor the subscription.
type filterConn struct {
	net.Conn
	alive func() // called when something arrives: a large string takes its time
	in    []byte // what was read last
	buf   []byte // what is to be returned, and before that what was
	out   []byte // what is to be returned: the end of buf
	bad   error  // why nothing is read any more
	head  []byte // the beginning of a line that may be the header of a string or an array
	mode  filterMode
	left  int // bytes of the string
}

// A filterMode says what the next byte belongs to.
type filterMode uint8

const (
	atLine   filterMode = iota // the beginning of a line
	inHeader                   // a line with a length
	inLine                     // any other line
	inString                   // a string, and the end of its line
	inExcess                   // a string that is too large
)

func newFilterConn(conn net.Conn, alive func()) *filterConn {
	return &filterConn{Conn: conn, alive: alive, in: make([]byte, 16<<10)}
}

// Read implements net.Conn.
func (c *filterConn) Read(p []byte) (int, error) {
	for len(c.out) == 0 {
		if c.bad != nil {
			return 0, c.bad
		}
		n, err := c.Conn.Read(c.in)
		if n > 0 {
			c.alive()
		}
		c.out = c.buf[:0]
		c.bad = c.filter(c.in[:n])
		c.buf = c.out
		if err != nil && len(c.out) == 0 {
			return 0, err // else the next Read has it again
		}
	}
	n := copy(p, c.out)
	c.out = c.out[n:]
	return n, nil
}

// filter appends to out what the client is to read of b.
func (c *filterConn) filter(b []byte) error {
	for len(b) > 0 {
		switch c.mode {
		case atLine:
			c.mode = inLine
			switch b[0] {
			case '$', '=', '!', '*', '>', '~', '%', '|':
				c.mode, c.head = inHeader, c.head[:0]
			}
		case inLine:
			n, ended := line(b)
			c.out, b = append(c.out, b[:n]...), b[n:]
			if ended {
				c.mode = atLine
			}
		case inHeader:
			n, ended := line(b)
			c.head, b = append(c.head, b[:n]...), b[n:]
			if len(c.head) > maxHeader {
				return errForeignReply
			}
			if ended {
				if err := c.header(); err != nil {
					return err
				}
			}
		case inString:
			n := min(c.left, len(b))
			c.out, b = append(c.out, b[:n]...), b[n:]
			if c.left -= n; c.left == 0 {
				c.mode = atLine
			}
		case inExcess:
			n := min(c.left, len(b))
			b = b[n:]
			if c.left -= n; c.left == 0 {
				c.mode, c.left = inString, 2
			}
		}
	}
	return nil
}

// line returns the length of what b has of a line, and whether the line ends there.
func line(b []byte) (n int, ended bool) {
	for i, c := range b {
		if c == '\n' {
			return i + 1, true
		}
	}
	return len(b), false
}

// header passes a header on.
func (c *filterConn) header() error {
	kind := c.head[0]
	n, err := strconv.Atoi(string(c.head[1:max(1, len(c.head)-2)]))
	isString := kind == '$' || kind == '=' || kind == '!'
	switch {
	case err != nil, !isString && n > maxElements:
		return errForeignReply
	case isString && n > maxBulk:
		c.out = append(c.out, "$0\r\n"...)
		c.mode, c.left = inExcess, n
		return nil
	}
	c.out = append(c.out, c.head...)
	c.mode = atLine
	if isString && n >= 0 {
		c.mode, c.left = inString, n+2
	}
	return nil
}
