package remote

import (
	"context"
	"fmt"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// A Snapshot is what an Update has read of its key, and what shows whether anything was written
// since.
type Snapshot struct {
	Entry  Entry // its Record is zero if the key has none
	Usable bool  // the record counts as an entry

	w     *Write
	lease *lease // nil if the store lends none
	watch *TagWatch
	late  Generations // of the record's tags that are not the loader's own
}

// Snapshot takes the lease of the key from its holder, and reads the key. A store that lends no
// leases cannot keep other processes from writing. The caller closes the Snapshot, and there is one
// of a key at a time.
func (w *Write) Snapshot(ctx context.Context) (s *Snapshot, err error) {
	w.Budget = w.Client.NewBudget()
	s = &Snapshot{w: w, watch: &TagWatch{}}
	end, err := w.Client.begin()
	if err != nil {
		return s, err
	}
	defer end()
	if s.lease, err = w.lock(ctx); err != nil {
		return s, err
	}
	w.Client.updating.Store(w.Key, nil)
	// What is written has the generations that were read with the value, and so is as invalid as
	// what it was made of. If some were missing, the value is read after they are there.
	s.Entry, err = w.Read(ctx)
	if noMiss(err) != nil {
		return s, err
	}
	if s.Entry.Watch != nil {
		s.watch = s.Entry.Watch
	}
	if w.Client.tagged() && !w.Client.complete(s.watch) {
		if s.watch, err = w.Client.watchTags(ctx, &w.Budget, s.watch); err != nil {
			return s, err
		}
		s.Entry, err = w.Read(ctx)
	}
	if s.Usable = err == nil; s.Usable {
		s.late = w.Client.lateTagsOf(&s.Entry.Parsed)
	}
	return s, noMiss(err)
}

// Generations returns the generations of tags that the new record has to have.
func (s *Snapshot) Generations() Generations { return s.watch.gens.with(s.late) }

// KeepLeft makes the new record end when the old one would have. now is by the clock of memory.
func (s *Snapshot) KeepLeft(now int64) {
	r := &s.w.Record
	if r.TTL = s.Entry.Record.TTL; r.TTL != driver.Forever {
		r.TTL = max(time.Millisecond, r.TTL-time.Duration(now-s.Entry.Sent))
	}
	r.Version = s.Entry.Record.Version // the store keeps the old end; the TTL is rounded down, and shrinks with each update
}

// Replace commits the Write if nothing was written and no tag deleted since the Snapshot.
func (s *Snapshot) Replace(ctx context.Context) (committed bool, err error) {
	w := s.w
	end, err := w.Client.begin()
	if err != nil {
		return false, err
	}
	defer end()
	if current, err := w.Client.stillCurrent(ctx, &w.Budget, s.late, s.watch, w.Record.TTL); err != nil || !current {
		return false, err
	}
	leave, err := w.Client.exclude(ctx, &w.Budget, "Set", w.Key)
	if err != nil {
		return false, err
	}
	defer leave()
	if s.lease == nil {
		if same, err := s.unchanged(ctx); err != nil || !same {
			return false, err
		}
	}
	return w.replace(ctx, s.lease, s.Entry.Record.Version != "")
}

// unchanged reports whether the key still has the record of the Snapshot. It is for a store that
// lends no leases. The caller keeps other writes in this process away.
func (s *Snapshot) unchanged(ctx context.Context) (bool, error) {
	w := s.w
	now, err := ask(ctx, w.Client, &w.Budget, w.Key, func(ctx context.Context) (driver.Record, error) { return w.Client.Store.Get(ctx, w.Key) })
	return now.Version == s.Entry.Record.Version, fault("Get", noMiss(err))
}

// Close gives the lease back if it has not ended.
func (s *Snapshot) Close() {
	s.lease.close()
	s.w.Client.updating.Delete(s.w.Key)
}

// lock takes the lease of the key from its holder. It returns nil if the store lends none.
func (w *Write) lock(ctx context.Context) (*lease, error) {
	if w.Client.leaser == nil {
		return nil, nil
	}
	l, state, err := w.ask(ctx, "", true)
	if err == nil && state != driver.Won {
		err = &OpError{"Acquire", fmt.Errorf("it answered %v to an ask by force", state)}
	}
	return l, err
}

// ask asks for the lease of the key. The lease is valid if the answer is Won.
func (w *Write) ask(ctx context.Context, seen string, force bool) (*lease, driver.ClaimState, error) {
	l := &lease{c: w.Client, key: w.Key, values: context.WithoutCancel(ctx)}
	a, sent := l.ask(seen, force), time.Now()
	claim, err := send(ctx, w.Client, &w.Budget, w.Key, func(ctx context.Context) (driver.Claim, error) {
		return w.Client.leaser.Acquire(ctx, w.Key, a)
	})
	if err != nil {
		l.abort(a.Token)
		return l, 0, fault("Acquire", err)
	}
	if claim.State == driver.Won {
		l.grant(claim.Token, sent, a.Lease)
	}
	return l, claim.State, nil
}
