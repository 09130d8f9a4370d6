package properties_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"pgregory.net/rapid"
)

// TestSmall is the law of a cache that must evict. It never holds more than its capacity. A value
// that was just stored is present. A present value is the last one stored. A missing value that was
// not deleted and has not expired was evicted, and counted as such.
func TestSmall(t *testing.T) {
	checkMore(t, 2, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			n := rapid.SampledFrom([]int{1, 2, 3, 4, 7, 10, 20, 40}).Draw(t, "capacity")
			s := &small{t: t, capacity: n, keys: 2*n + 2, begin: time.Now(), has: map[int]sized{}}
			s.l = zodiac.NewLoader(s.fetch, zodiac.WithCapacity(n), zodiac.WithTTL(10))
			t.Repeat(map[string]func(*rapid.T){
				"": s.check, "set": s.set, "setMore": s.set, "setRow": s.setRow, "setIfAbsent": s.setIfAbsent, "get": s.get, "getToo": s.get,
				"delete": s.delete, "clear": s.clear, "advance": s.advance,
			})
		})
	})
}

type small struct {
	t        *rapid.T
	l        *zodiac.Loader[int, int64]
	capacity int
	keys     int
	begin    time.Time
	has      map[int]sized // the expected content, including expired entries
	serial   int64
	evicted  uint64
}

type sized struct {
	val    int64
	expiry time.Time
}

func (s *small) fetch(context.Context, int) (int64, error) {
	s.serial++
	return s.serial, nil
}

func (s *small) key() int { return rapid.IntRange(0, s.keys-1).Draw(s.t, "key") }

// put notes that key was stored, and checks that it is present.
func (s *small) put(key int, ttl time.Duration) {
	s.has[key] = sized{s.serial, time.Now().Add(ttl)}
	if v, ok, err := s.l.Peek(context.Background(), key); v != s.serial || !ok || err != nil {
		s.t.Fatalf("just stored: Peek(%d) = %v, %v, %v; want %d", key, v, ok, err, s.serial)
	}
}

func (s *small) setOne(key int) {
	if _, ok, _ := s.l.Peek(context.Background(), key); !ok {
		s.missing(key) // evicted by the one before
	}
	s.serial++
	ttl := 10 * time.Second
	if key%5 == 0 {
		ttl = time.Second // some die early
	}
	if err := s.l.Set(context.Background(), key, s.serial, zodiac.WithTTL(ttl)); err != nil {
		s.t.Fatal(err)
	}
	s.put(key, ttl)
}

func (s *small) set(*rapid.T) { s.setOne(s.key()) }

// setRow stores more keys one after another than fit.
func (s *small) setRow(t *rapid.T) {
	from := s.key()
	for i := range rapid.IntRange(0, s.keys).Draw(t, "keys") {
		s.setOne((from + i) % s.keys)
		s.checkLen()
	}
}

func (s *small) setIfAbsent(*rapid.T) {
	key := s.key()
	s.serial++
	absent, err := s.l.SetIfAbsent(context.Background(), key, s.serial)
	if err != nil || absent == s.live(key) && !absent {
		s.t.Fatalf("SetIfAbsent(%d) = %v, %v; in the cache: %v", key, absent, err, s.live(key))
	}
	if absent {
		s.missing(key)
		s.put(key, 10*time.Second)
	}
}

func (s *small) get(*rapid.T) {
	key := s.key()
	want, has := s.has[key].val, s.live(key)
	v, err := s.l.Get(context.Background(), key)
	switch {
	case err != nil:
		s.t.Fatal(err)
	case has && v == want:
	case v == s.serial: // fetched
		s.missing(key)
		s.put(key, 10*time.Second)
	default:
		s.t.Fatalf("Get(%d) = %d; want %d, or the %d just fetched", key, v, want, s.serial)
	}
}

func (s *small) delete(*rapid.T) {
	key := s.key()
	n, err := s.l.Delete(context.Background(), key)
	if err != nil || n == 1 && !s.live(key) {
		s.t.Fatalf("Delete(%d) = %d, %v; in the cache: %v", key, n, err, s.live(key))
	}
	if n == 0 {
		s.missing(key)
	}
	delete(s.has, key)
}

func (s *small) clear(*rapid.T) {
	s.check(s.t) // notes the missing keys
	want := 0
	for key := range s.has {
		if s.live(key) {
			want++
		}
	}
	if n, err := s.l.Clear(context.Background()); n != want || err != nil {
		s.t.Fatalf("Clear() = %d, %v; want %d", n, err, want)
	}
	s.has = map[int]sized{}
}

func (s *small) advance(t *rapid.T) {
	time.Sleep(rapid.SampledFrom([]time.Duration{10 * time.Millisecond, time.Second, 10 * time.Second}).Draw(t, "for"))
	synctest.Wait()
}

func (s *small) live(key int) bool {
	e, ok := s.has[key]
	return ok && time.Now().Before(e.expiry)
}

// missing notes that key is not in the cache. If it should be there, it was evicted.
func (s *small) missing(key int) {
	if s.live(key) {
		s.evicted++
	}
	delete(s.has, key)
}

func (s *small) checkLen() {
	if n := s.l.Len(); n > s.capacity {
		s.t.Fatalf("Len() = %d; the capacity is %d", n, s.capacity)
	}
}

func (s *small) check(t *rapid.T) {
	s.checkLen()
	there := 0
	for key := range s.keys {
		v, ok, err := s.l.Peek(context.Background(), key)
		switch {
		case err != nil, ok && !s.live(key), ok && v != s.has[key].val:
			t.Fatalf("Peek(%d) = %v, %v, %v; want %v or nothing", key, v, ok, err, s.has[key])
		case ok:
			there++
		default:
			s.missing(key)
		}
	}
	st := s.l.Stats()
	if n := s.l.Len(); st.Evicted != s.evicted || n < there {
		t.Fatalf("%d evicted, Len %d; want %d evicted, at least %d there", st.Evicted, n, s.evicted, there)
	}
}
