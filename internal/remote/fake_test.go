package remote

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/coarse"
	"github.com/zodiac-go/zodiac/internal/keytext"
	"github.com/zodiac-go/zodiac/internal/record"
	"github.com/zodiac-go/zodiac/internal/tag"
	"github.com/zodiac-go/zodiac/memstore"
)

var errDown = errors.New("connection refused")

// A fakeStore is a memstore whose commands a test can count, fail and hold up, with a Bus that a
// test can cut. A test reaches the memstore itself, without hooks, as s.Store.
type fakeStore struct {
	*memstore.Store

	mu     sync.Mutex // guards the fields below
	before func(ctx context.Context, op, key string) error
	after  func(op, key string) error
	claim  func(*driver.Claim)
	sent   []command

	relay func(driver.Invalidation) // is given what is published, instead of the subscribers

	bus  sync.Mutex // held while subscribers are called; guards the field below
	subs map[*subscriber]bool
}

type command struct {
	op, key string
	at      time.Time
}

type subscriber struct {
	fn  func(driver.Invalidation)
	cut bool // it has received a Gap
}

func newStore(t *testing.T) *fakeStore {
	s := &fakeStore{Store: memstore.New(), subs: make(map[*subscriber]bool)}
	t.Cleanup(func() { s.Close() })
	return s
}

// A bareStore has no abilities.
type bareStore struct{ driver.Store }

// A leaserStore lends leases, and can do nothing else.
type leaserStore struct {
	driver.Store
	driver.Leaser
}

func bare(s *fakeStore) func(*Config) {
	return func(cfg *Config) { cfg.Store = bareStore{s} }
}

// setBefore sets what is called before a command is carried out. If it returns an error, the
// command is not carried out.
func (s *fakeStore) setBefore(fn func(ctx context.Context, op, key string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = fn
}

// setAfter sets what is called after a command. An error that it returns is the command's answer.
func (s *fakeStore) setAfter(fn func(op, key string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = fn
}

// setClaim sets what may change an answer of Acquire.
func (s *fakeStore) setClaim(fn func(*driver.Claim)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claim = fn
}

// fail makes some commands fail, or all if none is given.
func (s *fakeStore) fail(ops ...string) {
	s.setBefore(func(_ context.Context, op, _ string) error {
		if len(ops) == 0 || slices.Contains(ops, op) {
			return errDown
		}
		return nil
	})
}

// heal makes the store work again.
func (s *fakeStore) heal() { s.setBefore(nil) }

// commands returns the commands that were sent with any of ops.
func (s *fakeStore) commands(ops ...string) (cmds []command) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, cmd := range s.sent {
		if slices.Contains(ops, cmd.op) {
			cmds = append(cmds, cmd)
		}
	}
	return cmds
}

func (s *fakeStore) count(ops ...string) int { return len(s.commands(ops...)) }

func (s *fakeStore) total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sent)
}

func hooked[T any](ctx context.Context, s *fakeStore, op, key string, carryOut func() (T, error)) (v T, err error) {
	s.mu.Lock()
	s.sent = append(s.sent, command{op, key, time.Now()})
	before, after := s.before, s.after
	s.mu.Unlock()
	if before != nil {
		if err := before(ctx, op, key); err != nil {
			return v, err
		}
	}
	v, err = carryOut()
	if after != nil && err == nil {
		if err := after(op, key); err != nil {
			var none T
			return none, err
		}
	}
	return v, err
}

func hookedErr(ctx context.Context, s *fakeStore, op, key string, carryOut func() error) error {
	_, err := hooked(ctx, s, op, key, func() (struct{}, error) { return struct{}{}, carryOut() })
	return err
}

func (s *fakeStore) Get(ctx context.Context, key string) (driver.Record, error) {
	return hooked(ctx, s, "Get", key, func() (driver.Record, error) { return s.Store.Get(ctx, key) })
}

func (s *fakeStore) Set(ctx context.Context, key string, r driver.Record) error {
	return hookedErr(ctx, s, "Set", key, func() error { return s.Store.Set(ctx, key, r) })
}

func (s *fakeStore) Add(ctx context.Context, key string, r driver.Record) (bool, error) {
	return hooked(ctx, s, "Add", key, func() (bool, error) { return s.Store.Add(ctx, key, r) })
}

func (s *fakeStore) Expire(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	return hooked(ctx, s, "Expire", key, func() (bool, error) { return s.Store.Expire(ctx, key, ttl) })
}

func (s *fakeStore) Delete(ctx context.Context, keys ...string) (int, error) {
	return hooked(ctx, s, "Delete", keys[0], func() (int, error) { return s.Store.Delete(ctx, keys...) })
}

func (s *fakeStore) Clear(ctx context.Context, prefix string) (int, error) {
	return hooked(ctx, s, "Clear", prefix, func() (int, error) { return s.Store.Clear(ctx, prefix) })
}

func (s *fakeStore) GetMany(ctx context.Context, keys []string) (records []driver.Record, errs []error) {
	err := hookedErr(ctx, s, "GetMany", keys[0], func() error {
		records, errs = s.Store.GetMany(ctx, keys)
		return nil
	})
	if err != nil {
		return make([]driver.Record, len(keys)), slices.Repeat([]error{err}, len(keys))
	}
	return records, errs
}

func (s *fakeStore) SetMany(ctx context.Context, records map[string]driver.Record) error {
	return hookedErr(ctx, s, "SetMany", "", func() error { return s.Store.SetMany(ctx, records) })
}

func (s *fakeStore) EnsureMany(ctx context.Context, keys []string, min []driver.Record) (records []driver.Record, errs []error) {
	err := hookedErr(ctx, s, "EnsureMany", strings.Join(keys, " "), func() error {
		records, errs = s.Store.EnsureMany(ctx, keys, min)
		return nil
	})
	if err != nil {
		return make([]driver.Record, len(keys)), slices.Repeat([]error{err}, len(keys))
	}
	return records, errs
}

func (s *fakeStore) Acquire(ctx context.Context, key string, ask driver.Ask) (driver.Claim, error) {
	return hooked(ctx, s, "Acquire", key, func() (driver.Claim, error) {
		claim, err := s.Store.Acquire(ctx, key, ask)
		s.mu.Lock()
		change := s.claim
		s.mu.Unlock()
		if change != nil {
			change(&claim)
		}
		return claim, err
	})
}

func (s *fakeStore) Renew(ctx context.Context, key, token string, p time.Duration) (bool, error) {
	return hooked(ctx, s, "Renew", key, func() (bool, error) { return s.Store.Renew(ctx, key, token, p) })
}

func (s *fakeStore) Commit(ctx context.Context, key, token string, r driver.Record) (bool, error) {
	return hooked(ctx, s, "Commit", key, func() (bool, error) { return s.Store.Commit(ctx, key, token, r) })
}

func (s *fakeStore) Abort(ctx context.Context, key, token string) (bool, error) {
	return hooked(ctx, s, "Abort", key, func() (bool, error) { return s.Store.Abort(ctx, key, token) })
}

func (s *fakeStore) Publish(ctx context.Context, inv driver.Invalidation) error {
	return hookedErr(ctx, s, "Publish", "", func() error {
		if s.relay != nil {
			s.relay(inv)
			return nil
		}
		s.deliver(inv)
		return nil
	})
}

func (s *fakeStore) Subscribe(ctx context.Context, fn func(driver.Invalidation)) (stop func(), err error) {
	sub := &subscriber{fn: fn}
	return hooked(ctx, s, "Subscribe", "", func() (func(), error) {
		s.bus.Lock()
		defer s.bus.Unlock()
		s.subs[sub] = true
		return func() {
			s.bus.Lock()
			defer s.bus.Unlock()
			delete(s.subs, sub)
		}, nil
	})
}

func (s *fakeStore) deliver(inv driver.Invalidation) {
	s.bus.Lock()
	defer s.bus.Unlock()
	for sub := range s.subs {
		if sub.cut {
			continue
		}
		sub.fn(inv)
		sub.cut = inv.Gap
	}
}

// subscribers returns how many subscriptions were not stopped.
func (s *fakeStore) subscribers() int {
	s.bus.Lock()
	defer s.bus.Unlock()
	return len(s.subs)
}

func newNames() keytext.Names { return keytext.NewNames("", "test", "", false) }

// newClient returns a Client over s, which is closed with the test.
func newClient(t *testing.T, s *fakeStore, changes ...func(*Config)) *Client {
	cfg := Config{
		Name: "test", Store: s, Names: newNames(),
		Lease: 9 * time.Second, Wait: 10 * time.Second, Timeout: time.Second,
		Space: tag.NewSpace(), Clock: coarse.New(),
		Log:      func(slog.Level, string, ...any) {},
		LogFault: func(string, error) {},
		Report:   func(context.Context, error) {},
	}
	for _, change := range changes {
		change(&cfg)
	}
	c := New(cfg)
	t.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return c
}

// An owner is an Owner. Its functions may be nil.
type owner struct {
	usable        func(*Entry) bool
	seal          func() bool
	failed        []error
	waits, waited int
	forgets       int
}

func (o *owner) Usable(e *Entry) bool {
	if o.usable != nil {
		return o.usable(e)
	}
	return e.Bad == nil && !e.Invalid
}

func (o *owner) Seal() bool            { return o.seal == nil || o.seal() }
func (o *owner) Forget()               { o.forgets++ }
func (o *owner) StoreFailed(err error) { o.failed = append(o.failed, err) }
func (o *owner) Waits()                { o.waits++ }
func (o *owner) Waited()               { o.waited++ }

// A writeOwner is a WriteOwner. Its functions may be nil.
type writeOwner struct {
	useless      bool // no record counts as an entry
	drop, forget func()
	failed       []error
}

func (o *writeOwner) Usable(_ context.Context, e *Entry) bool {
	return !o.useless && e.Bad == nil && !e.Invalid
}

func (o *writeOwner) Drop() {
	if o.drop != nil {
		o.drop()
	}
}

func (o *writeOwner) Forget() {
	if o.forget != nil {
		o.forget()
	}
}

func (o *writeOwner) StoreFailed(_ context.Context, err error) { o.failed = append(o.failed, err) }

// key is the store's key of the tests.
const key = "zodiac::test:7"

// newFetch returns a Fetch of key that is ready.
func newFetch(c *Client, o *owner, changes ...func(*Fetch)) *Fetch {
	f := &Fetch{Client: c, Owner: o, Ctx: context.Background(), Values: context.Background(), Key: key, Budget: c.NewBudget()}
	for _, change := range changes {
		change(f)
	}
	f.Init()
	return f
}

// newWrite returns a Write of a record to key.
func newWrite(c *Client, o *writeOwner, r driver.Record) *Write {
	return &Write{Client: c, Owner: o, Key: key, Record: r, Budget: c.NewBudget()}
}

// value returns a record of a value that lives for an hour.
func value(payload string, tags ...record.Tag) driver.Record {
	rec := record.Record{Kind: record.Value, Created: time.Now(), Payload: []byte(payload), Tags: tags}
	return driver.Record{Data: rec.AppendTo(nil), TTL: time.Hour}
}

func storable(payload string, tags ...record.Tag) *Result {
	rec := record.Record{Kind: record.Value, Created: time.Now(), Payload: []byte(payload), Tags: tags}
	return &Result{Record: &rec, Life: time.Hour}
}

// put stores a value under key without hooks, and returns its Version.
func (s *fakeStore) put(t *testing.T, r driver.Record) (version string) {
	t.Helper()
	if err := s.Store.Set(t.Context(), key, r); err != nil {
		t.Fatal(err)
	}
	r, err := s.Store.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return r.Version
}

// stored returns the payload that the store has under key, or "-" if it has none.
func (s *fakeStore) stored(t *testing.T) string {
	t.Helper()
	r, err := s.Store.Get(t.Context(), key)
	if errors.Is(err, driver.ErrMiss) {
		return "-"
	}
	var rec record.Record
	if err := errors.Join(err, record.Parse(r.Data, &rec)); err != nil {
		t.Fatal(err)
	}
	return string(rec.Payload)
}

// hold takes the lease of key for another process, and returns its token.
func (s *fakeStore) hold(t *testing.T, token string, p time.Duration) string {
	t.Helper()
	for len(token) < 16 {
		token += "-"
	}
	claim, err := s.Store.Acquire(t.Context(), key, driver.Ask{Token: token, Lease: p, Force: true})
	if err != nil || claim.State != driver.Won {
		t.Fatalf("Acquire by another process = %+v, %v", claim, err)
	}
	return claim.Token
}

// restricted returns err as a *RestrictedError.
func restricted(t *testing.T, err error) *RestrictedError {
	t.Helper()
	r, ok := errors.AsType[*RestrictedError](err)
	if !ok {
		t.Fatalf("the outcome is %v; want one that is not for every caller", err)
	}
	return r
}
