package keytext

import (
	"unicode"
	"unicode/utf8"
)

// Escape escapes s for a segment of a store's key: '%', ':', '@', '{', '}',
// control characters and bytes that are not valid UTF-8 become %XX, upper-case,
// byte by byte. It is one to one, and leaves a text that needs no escape as it
// is, without a copy.
func Escape(s string) string {
	if escapeIndex(s, false) == len(s) {
		return s
	}
	return string(appendEscaped(make([]byte, 0, len(s)+len(s)/2+2), s, false))
}

// appendEscaped appends s to dst, escaped; inner escapes ',' as well.
func appendEscaped(dst []byte, s string, inner bool) []byte {
	const hex = "0123456789ABCDEF"
	for {
		i := escapeIndex(s, inner)
		dst = append(dst, s[:i]...)
		if i == len(s) {
			return dst
		}
		// One byte at a time: what follows the first byte of a control
		// character above ASCII is then not valid UTF-8, and escaped for that.
		dst = append(dst, '%', hex[s[i]>>4], hex[s[i]&0xF])
		s = s[i+1:]
	}
}

// escapeIndex returns the index of the first byte of s to escape, or len(s).
func escapeIndex(s string, inner bool) int {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c < ' ' || c == 0x7F || c == '%' || c == ':' || c == '@' || c == '{' || c == '}' || inner && c == ',' {
				return i
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 || unicode.IsControl(r) {
			return i
		}
		i += size
	}
	return len(s)
}
