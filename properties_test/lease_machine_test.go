package properties_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/redisstore"
	"pgregory.net/rapid"
)

// TestLeases is the law of leases. Three clients acquire, renew, commit, abort, write, delete and
// wait in any order. Replies are lost, commands arrive once more at any later time, another program
// deletes keys, and leases and records expire. The store answers as one frame per key does (P2, P3,
// P12, P13, P23, P24), and wakes waiting clients (P14).
//
// A history is drawn before it is run, so that the same histories can be run over stores that are
// broken: see TestBrokenLeases.
func TestLeases(t *testing.T) {
	for name, open := range map[string]func(*testing.T) zodiac.Store{
		"memstore": func(*testing.T) zodiac.Store { return memstore.New() },
		"redis":    func(t *testing.T) zodiac.Store { return redisstore.New(redistest.Virtual(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			checkMore(t, 5, func(rt *rapid.T) {
				steps, wrong := leaseSteps.Draw(rt, "steps"), ""
				synctest.Test(t, func(t *testing.T) { wrong = runLeases(open(t), steps, virtualTimes, rt.Logf) })
				if wrong != "" {
					rt.Fatal(wrong)
				}
			})
		})
	}
}

// TestLeasesOnAServer is TestLeases over redis-server, in real time. Nothing expires there.
func TestLeasesOnAServer(t *testing.T) {
	s, err := redisstore.Open("redis://" + redistest.Start(t).Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rapid.Check(t, func(rt *rapid.T) {
		steps := leaseSteps.Draw(rt, "steps")
		if err := s.Client().FlushDB(bg).Err(); err != nil {
			rt.Fatal(err)
		}
		if wrong := runLeases(sharedStore{s}, steps, realTimes, rt.Logf); wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

// sharedStore is a store that runLeases does not close.
type sharedStore struct{ *redisstore.Store }

func (sharedStore) Close() error { return nil }

// A redisClient is a store on Redis.
type redisClient interface{ Client() redis.UniversalClient }

// A leaseStep is a command or another event. The meaning of n and m depends on it.
type leaseStep struct {
	op string

	n, m   int
	lost   bool // the client does not get the reply
	repeat int  // the number of the earlier command that is carried out once more
}

var leaseOps = []string{
	"acquire", "acquire", "acquire", "refresh", "refresh", "force", "again", "renew", "renew", "commit", "commit", "commit", "tombstone", "abort",
	"abort asked", "set", "add", "expire", "delete", "clear", "foreign", "get", "get", "wait", "wait", "pass", "pass", "pass", "late", "late", "late",
}

var leaseSteps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) leaseStep {
	return leaseStep{
		op: rapid.SampledFrom(leaseOps).Draw(t, "op"), n: rapid.IntRange(0, 7).Draw(t, "n"),
		m: rapid.IntRange(0, 3).Draw(t, "m"), lost: rapid.IntRange(0, 4).Draw(t, "lost") == 4, repeat: rapid.IntRange(0, 30).Draw(t, "repeat"),
	}
}), 1, 40)

// times are the durations of leases and records, and the precision of their measurement.
type times struct {
	lives  []time.Duration
	passes []time.Duration
	// how much less time may be reported as left; a second or more means real time
	slack time.Duration
	over  time.Duration // how much more, by the clock of another machine
}

var (
	virtualTimes = times{
		[]time.Duration{40 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond, zodiac.Forever},
		[]time.Duration{2 * time.Millisecond, 38 * time.Millisecond, 40 * time.Millisecond, 60 * time.Millisecond, 300 * time.Millisecond},
		2 * time.Millisecond, 0,
	}
	realTimes = times{
		[]time.Duration{time.Hour, 2 * time.Hour, 3 * time.Hour, zodiac.Forever}, []time.Duration{time.Millisecond}, 3 * time.Hour, time.Minute,
	}
)

// A frame is the content of a key.
type frame struct {
	grant    *grant // of the lease, or nil
	revoked  bool
	deadline time.Time
	made     *product // the record, or nil
	dies     time.Time
	forever  bool
	// a grant that was not revoked when its time ended: it may commit until another client comes
	over *grant
}

// A grant is a lease that was granted once.
type grant struct {
	asked string
	token string // "" if no client knows it
}

// A product is a record that was stored once.
type product struct {
	version   string // "" if no client knows it
	data      string
	tombstone bool
	by        *grant
}

func (f *frame) alive(now time.Time) bool    { return f.made != nil && (f.forever || now.Before(f.dies)) }
func (f *frame) leased(now time.Time) bool   { return f.grant != nil && now.Before(f.deadline) }
func (f *frame) readable(now time.Time) bool { return f.alive(now) && !f.made.tombstone }

// age removes the lease and the record that have ended.
func (f *frame) age(now time.Time) {
	if f.alive(now) || f.leased(now) {
		return
	}
	over := f.over
	if f.grant != nil && !f.revoked {
		over = f.grant
	}
	*f = frame{over: over}
}

// A leaseRun is a store and the frame that it should hold.
type leaseRun struct {
	times
	store    zodiac.Store
	leaser   driver.Leaser
	frame    frame
	now      time.Time
	serial   int
	asked    []string // all tokens that clients asked with
	grants   []*grant // grants whose token a client received
	all      []*grant
	products []*product
	copies   []func() string // commands, to be carried out once more
	waiters  []leaseWaiter
}

type leaseWaiter struct {
	woken <-chan struct{}
	stop  func()
}

const leaseKey = "zodiac::leases:k"

// runLeases returns the first difference from the law, or "".
func runLeases(s zodiac.Store, steps []leaseStep, ts times, logf func(string, ...any)) string {
	defer s.Close()
	r := &leaseRun{times: ts, store: s, leaser: s.(driver.Leaser)}
	defer func() {
		for _, w := range r.waiters {
			w.stop()
		}
	}()
	for i, st := range steps {
		if ts.slack < time.Second {
			synctest.Wait()
			// whole milliseconds, and never the last one of a record or a lease
			time.Sleep(2 * time.Millisecond)
		}
		r.now = time.Now()
		r.frame.age(r.now)
		if !r.frame.leased(r.now) {
			r.stopWaiting() // the waiting clients see by themselves that the lease has ended
		}
		what := fmt.Sprintf("%d: %s", i, st.op)
		if wrong := r.step(st); wrong != "" {
			return what + ": " + wrong
		}
		logf("%v %s n %d, m %d, repeat %d: %+v", r.now.Format("05.000"), what, st.n, st.m, st.repeat, r.frame)
		r.frame.age(r.now)
	}
	return ""
}

// step makes a command of a step, carries it out, and keeps it.
func (r *leaseRun) step(st leaseStep) string {
	life := r.lives[st.m%len(r.lives)]
	lease := r.lives[st.m%(len(r.lives)-1)]
	var do func() string
	switch st.op {
	case "acquire":
		do = r.acquire(driver.Ask{Token: r.newToken(), Lease: lease}, st.lost)
	case "refresh":
		seen := "unknown"
		if r.frame.made != nil && r.frame.made.version != "" && st.n > 1 {
			seen = r.frame.made.version
		} else if len(r.products) > 0 {
			seen = r.products[st.n%len(r.products)].version
		}
		do = r.acquire(driver.Ask{Token: r.newToken(), Lease: lease, Seen: seen}, st.lost)
	case "force":
		do = r.acquire(driver.Ask{Token: r.newToken(), Lease: lease, Force: true}, st.lost)
	case "again":
		if len(r.asked) == 0 {
			return ""
		}
		do = r.acquire(driver.Ask{Token: r.asked[len(r.asked)-1-st.n%len(r.asked)], Lease: lease}, st.lost)
	case "renew", "commit", "tombstone", "abort":
		if len(r.grants) == 0 {
			return ""
		}
		do = r.underLease(st.op, r.grants[len(r.grants)-1-st.n/2%len(r.grants)], life, lease)
	case "abort asked":
		if len(r.asked) == 0 {
			return ""
		}
		asked := r.asked[len(r.asked)-1-st.n/2%len(r.asked)]
		do = func() string { return r.abort(asked, func(g *grant) bool { return g.asked == asked }) }
	case "set", "add", "expire", "delete", "clear":
		do = r.write(st.op, life)
	case "foreign":
		r.stopWaiting() // no client is woken
		return r.foreign()
	case "get":
		return r.get()
	case "wait":
		return r.wait(lease)
	case "pass":
		return r.pass(r.passes[st.n%len(r.passes)])
	case "late":
		if len(r.copies) == 0 {
			return ""
		}
		return r.copies[len(r.copies)-1-st.repeat%len(r.copies)]()
	}
	r.copies = append(r.copies, do)
	return do()
}

func (r *leaseRun) newToken() string {
	r.serial++
	r.asked = append(r.asked, fmt.Sprintf("client%d-token-%06d", r.serial%3, r.serial))
	return r.asked[len(r.asked)-1]
}

func (r *leaseRun) acquire(ask driver.Ask, lost bool) func() string {
	return func() string {
		f := &r.frame
		claim, err := r.leaser.Acquire(bg, leaseKey, ask)
		if err != nil {
			return err.Error()
		}
		switch {
		case f.leased(r.now) && !f.revoked && f.grant.asked == ask.Token:
			return r.won(claim, f.grant, lost)
		case !ask.Force && f.alive(r.now) && (f.made.tombstone || f.made.version == "" || f.made.version != ask.Seen):
			return r.hit(claim)
		case !ask.Force && f.leased(r.now):
			return r.busy(claim)
		}
		g := &grant{asked: ask.Token}
		r.all = append(r.all, g)
		ends := r.now.Add(ask.Lease)
		if f.leased(r.now) {
			r.stopWaiting() // taken by force: no client is woken
		}
		f.grant, f.revoked, f.deadline, f.over = g, false, ends, nil
		if !f.alive(r.now) {
			f.made = nil
		}
		return r.won(claim, g, lost)
	}
}

func (r *leaseRun) won(claim driver.Claim, g *grant, lost bool) string {
	if claim.State != driver.Won || claim.Token == "" || slices.Contains(r.asked, claim.Token) {
		return fmt.Sprintf("%+v; want Won, with a token of its own", claim)
	}
	for _, other := range r.all {
		if (other == g && g.token != "" && g.token != claim.Token) || other != g && other.token == claim.Token {
			return fmt.Sprintf("the token %q was granted before, or is not that of this grant", claim.Token)
		}
	}
	g.token = claim.Token
	if !lost && !slices.Contains(r.grants, g) {
		r.grants = append(r.grants, g)
	}
	return ""
}

func (r *leaseRun) hit(claim driver.Claim) string {
	if claim.State != driver.Hit || claim.Record.Tombstone != r.frame.made.tombstone || claim.Record.Tombstone && !claim.Whole {
		return fmt.Sprintf("%+v; want the record %+v", claim, r.frame.made)
	}
	return r.record(claim.Record, claim.Whole)
}

func (r *leaseRun) busy(claim driver.Claim) string {
	left := r.frame.deadline.Sub(r.now)
	if claim.State != driver.Busy || claim.Holder == "" || claim.Left > left+r.over || claim.Left <= 0 || claim.Left < left-r.slack {
		return fmt.Sprintf("%+v; want Busy for %v", claim, left)
	}
	return ""
}

// record checks a record that is present.
func (r *leaseRun) record(got driver.Record, whole bool) string {
	p, left := r.frame.made, zodiac.Forever
	if !r.frame.forever {
		left = r.frame.dies.Sub(r.now)
	}
	switch {
	case got.Version == "" || p.version != "" && p.version != got.Version:
		return fmt.Sprintf("version %q; want %q", got.Version, p.version)
	case whole && string(got.Data) != p.data:
		return fmt.Sprintf("data %q; want %q", got.Data, p.data)
	case whole && (left != zodiac.Forever && got.TTL > left+r.over || left != zodiac.Forever && (got.TTL <= 0 || got.TTL < left-r.slack) || left == zodiac.Forever && got.TTL != left):
		return fmt.Sprintf("%v left; want %v", got.TTL, left)
	}
	if p.version == "" {
		for _, other := range r.products {
			if other.version == got.Version {
				return fmt.Sprintf("version %q was another record's", got.Version)
			}
		}
		p.version = got.Version
		r.products = append(r.products, p)
	}
	return ""
}

func (r *leaseRun) underLease(op string, g *grant, life, lease time.Duration) func() string {
	r.serial++
	data := fmt.Sprintf("%s %d", op, r.serial)
	switch op {
	case "renew":
		return func() string { return r.renew(g, lease) }
	case "abort":
		return func() string { return r.abort(g.token, func(h *grant) bool { return h == g }) }
	default:
		return func() string {
			return r.commit(g, driver.Record{Data: []byte(data), TTL: life, Tombstone: op == "tombstone"})
		}
	}
}

func (r *leaseRun) renew(g *grant, lease time.Duration) string {
	f := &r.frame
	want := f.grant == g && f.leased(r.now)
	got, err := r.leaser.Renew(bg, leaseKey, g.token, lease)
	if got != want || err != nil {
		return fmt.Sprintf("P13: Renew = %v, %v; want %v", got, err, want)
	}
	if ends := r.now.Add(lease); want && ends.After(f.deadline) {
		f.deadline = ends
	}
	return ""
}

func (r *leaseRun) commit(g *grant, rec driver.Record) string {
	f := &r.frame
	got, err := r.leaser.Commit(bg, leaseKey, g.token, rec)
	want := false
	switch {
	case f.grant == g && !f.revoked:
		want = true
		r.made(rec, g)
	case f.grant == g:
		r.endLease()
	case f.over == g && got:
		want = true
		r.made(rec, g)
	default:
		want = f.alive(r.now) && f.made.by == g // stored before
	}
	if got != want || err != nil {
		return fmt.Sprintf("P2: Commit = %v, %v; want %v", got, err, want)
	}
	return r.woken()
}

// made makes rec the frame's record, and ends its lease.
func (r *leaseRun) made(rec driver.Record, by *grant) {
	r.endLease()
	r.frame.deadline, r.frame.over = time.Time{}, nil
	r.frame.made = &product{data: string(rec.Data), tombstone: rec.Tombstone, by: by}
	if r.frame.forever = rec.TTL == zodiac.Forever; !r.frame.forever {
		r.frame.dies = r.now.Add(rec.TTL)
	}
}

func (r *leaseRun) endLease() {
	r.frame.grant, r.frame.revoked = nil, false
}

func (r *leaseRun) abort(token string, is func(*grant) bool) string {
	f := &r.frame
	mine := f.grant != nil && is(f.grant)
	want := mine && f.leased(r.now) && !f.revoked
	got, err := r.leaser.Abort(bg, leaseKey, token)
	if mine {
		r.endLease()
	}
	if got != want || err != nil {
		return fmt.Sprintf("P13: Abort = %v, %v; want %v", got, err, want)
	}
	return r.woken()
}

func (r *leaseRun) write(op string, life time.Duration) func() string {
	r.serial++
	rec := driver.Record{Data: fmt.Appendf(nil, "%s %d", op, r.serial), TTL: life}
	return func() string {
		f := &r.frame
		there := f.readable(r.now)
		var got any
		var err error
		want := any(there)
		switch op {
		case "set":
			want, err = any(nil), r.store.Set(bg, leaseKey, rec)
			r.made(rec, nil)
		case "add":
			want = !there
			got, err = r.store.Add(bg, leaseKey, rec)
			if !there {
				r.made(rec, nil)
			}
		case "expire":
			got, err = r.store.Expire(bg, leaseKey, life)
			if there {
				if f.forever = life == zodiac.Forever; !f.forever {
					f.dies = r.now.Add(life)
				}
			}
		case "delete":
			want = count(there)
			got, err = r.store.Delete(bg, leaseKey)
			*f = frame{}
		case "clear":
			want = count(there)
			got, err = r.store.Clear(bg, "zodiac::leases:")
			if f.leased(r.now) {
				f.revoked, f.made = true, nil
			} else {
				*f = frame{}
			}
			if got != want || err != nil {
				return fmt.Sprintf("= %v, %v; want %v", got, err, want)
			}
			return ""
		}
		if got != want || err != nil {
			return fmt.Sprintf("= %v, %v; want %v", got, err, want)
		}
		return r.woken()
	}
}

func count(there bool) int {
	if there {
		return 1
	}
	return 0
}

func (r *leaseRun) foreign() string {
	var err error
	if s, ok := r.store.(redisClient); ok {
		err = s.Client().Del(bg, leaseKey).Err()
	} else {
		_, err = r.store.Delete(bg, leaseKey)
	}
	r.frame = frame{}
	if err != nil {
		return err.Error()
	}
	return ""
}

func (r *leaseRun) get() string {
	rec, err := r.store.Get(bg, leaseKey)
	if there := r.frame.readable(r.now); !there {
		if !errors.Is(err, driver.ErrMiss) {
			return fmt.Sprintf("Get = %+v, %v; want ErrMiss", rec, err)
		}
		return ""
	}
	if err != nil {
		return fmt.Sprintf("Get = %v; want %+v", err, r.frame.made)
	}
	return r.record(rec, true)
}

// wait registers for a wake-up and then asks, as flights do.
func (r *leaseRun) wait(lease time.Duration) string {
	waker, ok := r.store.(driver.Waker)
	if !ok {
		return ""
	}
	woken, stop := waker.Wake(context.Background(), leaseKey)
	r.quiet()
	select {
	case <-woken: // may have ended
	default:
	}
	if wrong := r.acquire(driver.Ask{Token: r.newToken(), Lease: lease}, true)(); wrong != "" {
		return wrong
	}
	if g := r.frame.grant; r.frame.leased(r.now) && g.asked != r.asked[len(r.asked)-1] && !r.frame.alive(r.now) {
		r.waiters = append(r.waiters, leaseWaiter{woken, stop})
	} else {
		stop()
	}
	return ""
}

func (r *leaseRun) quiet() {
	if r.slack < time.Second {
		synctest.Wait()
	}
}

// woken checks, after a command, that the clients that wait for an ended lease were woken.
func (r *leaseRun) woken() string {
	if r.frame.grant != nil || len(r.waiters) == 0 {
		return ""
	}
	r.quiet()
	defer r.stopWaiting()
	for _, w := range r.waiters {
		select {
		case <-w.woken:
		case <-r.enough():
			return "P14: the lease has ended, and a waiting client was not woken"
		}
	}
	return ""
}

// enough returns a channel that is ready when a wake-up is overdue.
func (r *leaseRun) enough() <-chan time.Time {
	if r.slack < time.Second {
		return time.After(time.Microsecond)
	}
	return time.After(5 * time.Second)
}

func (r *leaseRun) stopWaiting() {
	for _, w := range r.waiters {
		w.stop()
	}
	r.waiters = nil
}

func (r *leaseRun) pass(d time.Duration) string {
	time.Sleep(d)
	r.now = time.Now()
	return ""
}

// TestBrokenLeases shows that TestLeases can fail. Each of these stores breaks one rule.
func TestBrokenLeases(t *testing.T) {
	for name, broken := range map[string]func(s *memstore.Store) zodiac.Store{
		"no stamp":                     func(s *memstore.Store) zodiac.Store { return &stampless{Store: s, last: map[string]string{}} },
		"commits revoked leases":       func(s *memstore.Store) zodiac.Store { return &careless{Store: s, commits: true} },
		"releases another's lease":     func(s *memstore.Store) zodiac.Store { return &careless{Store: s, aborts: true, last: new(string)} },
		"renews another's lease":       func(s *memstore.Store) zodiac.Store { return &careless{Store: s, renews: true, last: new(string)} },
		"Clear leaves leases good":     func(s *memstore.Store) zodiac.Store { return &careless{Store: s, clears: true} },
		"wakes nobody":                 func(s *memstore.Store) zodiac.Store { return &careless{Store: s, sleeps: true} },
		"tombstones are records":       func(s *memstore.Store) zodiac.Store { return &careless{Store: s, tombstones: true} },
		"Add beside a placeholder":     func(s *memstore.Store) zodiac.Store { return &careless{Store: s, adds: true} },
		"a lease lasts as its record":  func(s *memstore.Store) zodiac.Store { return &careless{Store: s, expires: true} },
		"sharing a stale reply of Get": func(s *memstore.Store) zodiac.Store { return &careless{Store: s, caches: true} },
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range 3000 {
				steps, wrong := leaseSteps.Example(seed), ""
				synctest.Test(t, func(*testing.T) {
					wrong = runLeases(broken(memstore.New()), steps, virtualTimes, func(string, ...any) {})
				})
				if wrong != "" {
					t.Logf("history %d: %s", seed, wrong)
					return
				}
			}
			t.Error("nothing found in 3000 histories")
		})
	}
}

// A stampless store returns the token of the ask as the token of the lease.
type stampless struct {
	*memstore.Store
	last map[string]string
}

func (s *stampless) Acquire(ctx context.Context, key string, ask driver.Ask) (driver.Claim, error) {
	c, err := s.Store.Acquire(ctx, key, ask)
	if c.State == driver.Won {
		s.last[ask.Token+"+"] = c.Token
		c.Token = ask.Token + "+"
	}
	return c, err
}

func (s *stampless) Renew(ctx context.Context, key, token string, p time.Duration) (bool, error) {
	return s.Store.Renew(ctx, key, s.last[token], p)
}

func (s *stampless) Commit(ctx context.Context, key, token string, r driver.Record) (bool, error) {
	return s.Store.Commit(ctx, key, s.last[token], r)
}

func (s *stampless) Abort(ctx context.Context, key, token string) (bool, error) {
	if granted, ok := s.last[token]; ok {
		token = granted
	}
	return s.Store.Abort(ctx, key, token)
}

// A careless store breaks the rules whose fields are set.
type careless struct {
	*memstore.Store
	// token of the last grant
	last                                                                       *string
	commits, aborts, renews, clears, sleeps, tombstones, adds, expires, caches bool
	got                                                                        *driver.Record
}

func (s *careless) Acquire(ctx context.Context, key string, ask driver.Ask) (driver.Claim, error) {
	c, err := s.Store.Acquire(ctx, key, ask)
	if c.State == driver.Won && s.last != nil {
		*s.last = c.Token
	}
	return c, err
}

func (s *careless) Commit(ctx context.Context, key, token string, r driver.Record) (bool, error) {
	r.Tombstone = r.Tombstone && !s.tombstones
	ok, err := s.Store.Commit(ctx, key, token, r)
	if !ok && s.commits {
		return true, s.Set(ctx, key, r)
	}
	return ok, err
}

func (s *careless) Abort(ctx context.Context, key, token string) (bool, error) {
	if s.aborts && *s.last != "" {
		token = *s.last
	}
	return s.Store.Abort(ctx, key, token)
}

func (s *careless) Renew(ctx context.Context, key, token string, p time.Duration) (bool, error) {
	if s.renews {
		token = *s.last
	}
	return s.Store.Renew(ctx, key, token, p)
}

func (s *careless) Clear(ctx context.Context, prefix string) (int, error) {
	if s.clears {
		return s.Delete(ctx, leaseKey)
	}
	return s.Store.Clear(ctx, prefix)
}

func (s *careless) Wake(ctx context.Context, key string) (<-chan struct{}, func()) {
	if s.sleeps {
		return make(chan struct{}), func() {}
	}
	return s.Store.Wake(ctx, key)
}

func (s *careless) Add(ctx context.Context, key string, r driver.Record) (bool, error) {
	if s.adds {
		if c, _ := s.Store.Acquire(ctx, key, driver.Ask{Token: "somebody-who-asks", Lease: time.Hour}); c.State == driver.Busy {
			return false, nil
		}
	}
	return s.Store.Add(ctx, key, r)
}

func (s *careless) Expire(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	if s.expires && ttl < time.Second {
		ttl *= 2
	}
	return s.Store.Expire(ctx, key, ttl)
}

func (s *careless) Get(ctx context.Context, key string) (driver.Record, error) {
	if s.caches && s.got != nil {
		return *s.got, nil
	}
	r, err := s.Store.Get(ctx, key)
	if err == nil {
		s.got = &r
	}
	return r, err
}
