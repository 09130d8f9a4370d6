package chaos

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// A faulty is a store whose calls go through an Injector. It has the methods of all abilities.
// compose shows only those that inner has.
//
// It copies its arguments, because a kept call may be carried out when its caller has long changed
// them.
type faulty struct {
	inner driver.Store
	m     *Injector
}

// on returns a Call of op on keys.
func on(op Op, keys ...string) Call { return Call{op, keys} }

func (f *faulty) Get(ctx context.Context, key string) (driver.Record, error) {
	return run(ctx, f.m, on(Get, key), func(ctx context.Context) (driver.Record, error) {
		return f.inner.Get(ctx, key)
	})
}

func (f *faulty) Set(ctx context.Context, key string, r driver.Record) error {
	r.Data = bytes.Clone(r.Data)
	return run0(ctx, f.m, on(Set, key), func(ctx context.Context) error {
		return f.inner.Set(ctx, key, r)
	})
}

func (f *faulty) Add(ctx context.Context, key string, r driver.Record) (bool, error) {
	r.Data = bytes.Clone(r.Data)
	return run(ctx, f.m, on(Add, key), func(ctx context.Context) (bool, error) {
		return f.inner.Add(ctx, key, r)
	})
}

func (f *faulty) Expire(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	return run(ctx, f.m, on(Expire, key), func(ctx context.Context) (bool, error) {
		return f.inner.Expire(ctx, key, ttl)
	})
}

func (f *faulty) Delete(ctx context.Context, keys ...string) (int, error) {
	keys = slices.Clone(keys)
	return run(ctx, f.m, on(Delete, keys...), func(ctx context.Context) (int, error) {
		return f.inner.Delete(ctx, keys...)
	})
}

func (f *faulty) Clear(ctx context.Context, prefix string) (int, error) {
	return run(ctx, f.m, on(Clear, prefix), func(ctx context.Context) (int, error) {
		return f.inner.Clear(ctx, prefix)
	})
}

// Close has no context, so only Heal ends a Stall of it.
func (f *faulty) Close() error {
	return run0(context.Background(), f.m, on(Close), func(context.Context) error { return f.inner.Close() })
}

func (f *faulty) Acquire(ctx context.Context, key string, ask driver.Ask) (driver.Claim, error) {
	return run(ctx, f.m, on(Acquire, key), func(ctx context.Context) (driver.Claim, error) {
		return f.inner.(driver.Leaser).Acquire(ctx, key, ask)
	})
}

func (f *faulty) Renew(ctx context.Context, key, token string, p time.Duration) (bool, error) {
	return run(ctx, f.m, on(Renew, key), func(ctx context.Context) (bool, error) {
		return f.inner.(driver.Leaser).Renew(ctx, key, token, p)
	})
}

func (f *faulty) Commit(ctx context.Context, key, token string, r driver.Record) (bool, error) {
	r.Data = bytes.Clone(r.Data)
	return run(ctx, f.m, on(Commit, key), func(ctx context.Context) (bool, error) {
		return f.inner.(driver.Leaser).Commit(ctx, key, token, r)
	})
}

func (f *faulty) Abort(ctx context.Context, key, token string) (bool, error) {
	return run(ctx, f.m, on(Abort, key), func(ctx context.Context) (bool, error) {
		return f.inner.(driver.Leaser).Abort(ctx, key, token)
	})
}

func (f *faulty) GetMany(ctx context.Context, keys []string) ([]driver.Record, []error) {
	return f.many(ctx, GetMany, keys, func(ctx context.Context, keys []string) ([]driver.Record, []error) {
		return f.inner.(driver.Batcher).GetMany(ctx, keys)
	})
}

func (f *faulty) SetMany(ctx context.Context, records map[string]driver.Record) error {
	records = maps.Clone(records)
	for key, r := range records {
		r.Data = bytes.Clone(r.Data)
		records[key] = r
	}
	return run0(ctx, f.m, on(SetMany, slices.Collect(maps.Keys(records))...), func(ctx context.Context) error {
		return f.inner.(driver.Batcher).SetMany(ctx, records)
	})
}

func (f *faulty) EnsureMany(ctx context.Context, keys []string, min []driver.Record) ([]driver.Record, []error) {
	min = slices.Clone(min)
	for i := range min {
		min[i].Data = bytes.Clone(min[i].Data)
	}
	return f.many(ctx, EnsureMany, keys, func(ctx context.Context, keys []string) ([]driver.Record, []error) {
		return f.inner.(driver.Batcher).EnsureMany(ctx, keys, min)
	})
}

func (f *faulty) GetData(ctx context.Context, key string) (driver.Record, error) {
	return run(ctx, f.m, on(GetData, key), func(ctx context.Context) (driver.Record, error) {
		return f.inner.(driver.DataReader).GetData(ctx, key)
	})
}

func (f *faulty) GetManyData(ctx context.Context, keys []string) ([]driver.Record, []error) {
	return f.many(ctx, GetManyData, keys, func(ctx context.Context, keys []string) ([]driver.Record, []error) {
		return f.inner.(driver.DataReader).GetManyData(ctx, keys)
	})
}

// Wake returns a channel that never receives if the operation has a fault. It has no other way to
// fail.
func (f *faulty) Wake(ctx context.Context, key string) (<-chan struct{}, func()) {
	f.m.arrive(on(Wake, key), nil)
	if is := f.m.fault(Wake); is.fail != nil || is.lose != nil || is.stall != nil {
		return make(chan struct{}), func() {}
	}
	return f.inner.(driver.Waker).Wake(ctx, key)
}

func (f *faulty) Publish(ctx context.Context, inv driver.Invalidation) error {
	inv.Keys = slices.Clone(inv.Keys)
	return run0(ctx, f.m, on(Publish), func(ctx context.Context) error {
		return f.inner.(driver.Bus).Publish(ctx, inv)
	})
}

// Subscribe notes the subscription for Cut. If the reply is lost, it stops the subscription,
// since its caller cannot.
func (f *faulty) Subscribe(ctx context.Context, fn func(driver.Invalidation)) (func(), error) {
	sub := &subscriber{call: fn}
	stop := func() {}
	err := run0(ctx, f.m, on(Subscribe), func(ctx context.Context) error {
		s, err := f.inner.(driver.Bus).Subscribe(ctx, sub.receive)
		if err == nil {
			stop = s
		}
		return err
	})
	if err != nil {
		stop()
		return nil, err
	}
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.m.subs[sub] = struct{}{}
	return func() {
		f.m.mu.Lock()
		delete(f.m.subs, sub)
		f.m.mu.Unlock()
		sub.end(nil)
		stop()
	}, nil
}

// A subscriber is a subscription that can be cut.
type subscriber struct {
	mu   sync.Mutex                // held during a call, guards the field below
	call func(driver.Invalidation) // nil once the subscription has ended
}

// receive calls the subscriber, unless the subscription has ended.
func (s *subscriber) receive(inv driver.Invalidation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.call != nil {
		s.call(inv)
	}
}

// cut ends the subscription with a Gap.
func (s *subscriber) cut() { s.end(&driver.Invalidation{Gap: true}) }

// end ends the subscription. If last is not nil, it is the last call.
func (s *subscriber) end(last *driver.Invalidation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.call != nil && last != nil {
		s.call(*last)
	}
	s.call = nil
}

// run0 is run for a call that returns an error only.
func run0(ctx context.Context, m *Injector, call Call, do func(context.Context) error) error {
	_, err := run(ctx, m, call, func(ctx context.Context) (struct{}, error) { return struct{}{}, do(ctx) })
	return err
}

// many is run for a call that returns an error for each key.
func (f *faulty) many(
	ctx context.Context, op Op, keys []string,
	get func(context.Context, []string) ([]driver.Record, []error),
) ([]driver.Record, []error) {
	type results struct {
		records []driver.Record
		errs    []error
	}
	keys = slices.Clone(keys)
	all, err := run(ctx, f.m, on(op, keys...), func(ctx context.Context) (results, error) {
		records, errs := get(ctx, keys)
		return results{records, errs}, nil
	})
	if err != nil {
		all = results{make([]driver.Record, len(keys)), slices.Repeat([]error{err}, len(keys))}
	}
	return all.records, all.errs
}
