package bus

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

var samples = []driver.Invalidation{
	{},
	{Keys: []string{"a", "", "\x00 any\ntext"}},
	{Prefix: "zodiac:"},
	{
		Keys: []string{"k"}, Prefix: "p", Publisher: 1<<64 - 1, Number: 1<<64 - 1,
		Sent: time.UnixMicro(1_700_000_000_123_456), Age: 3 * time.Second,
	},
}

func frame(t testing.TB, b []byte, inv driver.Invalidation) []byte {
	b, err := AppendFrame(b, inv)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// parse returns the frames of a message.
func parse(message string) (all []driver.Invalidation, ok bool) {
	ok = ParseMessage(message, func(inv driver.Invalidation) { all = append(all, inv) })
	return all, ok
}

func TestMessageIsReadAsItWasWritten(t *testing.T) {
	var all []byte
	for _, inv := range samples {
		all = frame(t, all, inv)
	}
	if got, ok := parse(string(all)); !ok || !reflect.DeepEqual(got, samples) {
		t.Errorf("got %+v, %v; want %+v", got, ok, samples)
	}
}

// The bytes of a message must not change: processes of several releases read each other's.
func TestBytesOfAMessage(t *testing.T) {
	got := fmt.Sprintf("%q", frame(t, nil, driver.Invalidation{
		Keys: []string{"ab", "c"}, Prefix: "p", Publisher: 0x0102030405060708, Number: 300,
		Sent: time.UnixMicro(1), Age: 2 * time.Microsecond,
	}))
	const want = `"z1\x14\x01\x02\x03\x04\x05\x06\a\b\xac\x02\x01\x02\x01p\x02\x02ab\x01c"`
	if !strings.HasPrefix(got, strings.TrimSuffix(want, `"`)) {
		t.Errorf("got %s; want %s and a checksum", got, want)
	}
}

func TestWhatIsNoMessageIsDropped(t *testing.T) {
	good := string(frame(t, nil, samples[3]))
	check := func(name, message string, frames int) {
		t.Helper()
		if got, ok := parse(message); ok || len(got) != frames {
			t.Errorf("%s: %d frames, %v; want %d, false", name, len(got), ok, frames)
		}
	}
	check("empty", "", 0)
	check("text", "hello", 0)
	check("another version", "z2"+good[2:], 0)
	check("trailing", good+"x", 1)
	check("huge", strings.Repeat(good, MaxMessage), 0)
	for i := range good {
		check(fmt.Sprint("cut at ", i), good[:i], 0)
		for bit := range 8 {
			b := []byte(good)
			b[i] ^= 1 << bit
			if got, ok := parse(string(b)); ok {
				t.Errorf("byte %d, bit %d: taken for %+v", i, bit, got)
			}
		}
	}
}

func TestLyingLengthsAllocateLittle(t *testing.T) {
	for _, body := range []string{
		strings.Repeat("\x00", 8) + "\x01\x01\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		strings.Repeat("\x00", 8) + "\x01\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		strings.Repeat("\x00", 8) + "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
	} {
		if inv, ok := parseBody(body); ok || len(inv.Keys) > 0 {
			t.Errorf("%q is taken for %+v", body, inv)
		}
	}
}

func TestTooLargeAnInvalidationIsAnError(t *testing.T) {
	if _, err := AppendFrame(nil, driver.Invalidation{Prefix: strings.Repeat("p", MaxFrame)}); err == nil {
		t.Error("AppendFrame = nil; want an error")
	}
	full := driver.Invalidation{Keys: make([]string, MaxNames), Publisher: 1<<64 - 1, Number: 1 << 40, Sent: time.Now()}
	for i := range full.Keys {
		full.Keys[i] = strings.Repeat("k", 21) // what internal/remote writes
	}
	full.Prefix = strings.Repeat("p", 1500)
	frame(t, nil, full)
}

func FuzzParseMessage(f *testing.F) {
	for _, inv := range samples {
		f.Add(string(frame(f, nil, inv)))
	}
	f.Fuzz(func(t *testing.T, message string) {
		var again []byte
		ok := ParseMessage(message, func(inv driver.Invalidation) { again = frame(t, again, inv) })
		if ok && len(again) > len(message) {
			t.Errorf("%q is read as more than it is: %q", message, again)
		}
	})
}

func TestQuantilesOfTheLag(t *testing.T) {
	var l Lag
	if q := l.Quantiles(0.5); q[0] != 0 {
		t.Errorf("of nothing: %v", q)
	}
	for range 990 {
		l.Add(time.Millisecond)
	}
	for range 10 {
		l.Add(time.Second)
	}
	l.Add(-time.Hour)
	l.Add(1 << 62)
	q := l.Quantiles(0, 0.5, 0.99, 0.999)
	within := func(d, want time.Duration) bool { return d >= want && d <= want*6/5 }
	if q[0] > time.Microsecond || !within(q[1], time.Millisecond) || !within(q[2], time.Millisecond) || !within(q[3], time.Second) {
		t.Errorf("Quantiles = %v", q)
	}
	for range 10_000 {
		d := time.Duration(rand.Uint64N(1 << rand.N(42)))
		b := bucketOf(d)
		if up := upper(b); d >= up || up > max(2*time.Microsecond, d*5/4+time.Microsecond) {
			t.Fatalf("%v is in bucket %d, which ends at %v", d, b, up)
		}
	}
}
