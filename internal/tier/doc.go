// Package tier keeps the entries of one cache in memory: a bounded hash map of typed values, with
// expiry and eviction. A hit takes no lock, allocates nothing and reads no clock.
//
// The package owns the entries, the eviction policy and the removal of expired entries. It does
// not know how values are fetched, which callers wait for them, or whether there is a store
// behind it. The only code of users that it runs is the == and the hash of K.
//
// # Structure
//
// A [Tier] has up to 64 stripes. The hash of a key chooses its stripe. Each stripe has a hash
// table (table.go), which readers search without a lock. The table, the eviction policy
// (policy.go) and the roster of entries that expire (roster.go) change under the mutex of the
// stripe, which readers do not lock. So a write is one critical section. When it ends, the table,
// the rings of the policy and the roster agree, and the stripe has no more entries than its
// capacity.
//
// # What a hit does
//
// [Tier.Hit] hashes the key and loads the table of its stripe. It compares a tag of seven bits of
// the hash with the tags of one bucket, which is one cache line, and then compares the keys. It
// sets the seen bit of the entry, unless that is set: this is all that the eviction policy needs
// of a hit. It compares the expiry of the entry with the coarse clock, which is one atomic load.
// It reads the real clock only if the entry is within coarse.Slack of its expiry, or if the
// coarse clock is at rest.
//
// Hit does not decide about an entry that has more to check: one that slides, has tags, or says
// that its key does not exist. [Tier.HitAt] does the same in a tier that is keyed by text. Where
// neither decides, and in a tier that is made slow, the caller takes the slow path: [Tier.Find]
// and [Tier.Alive].
//
// # Where an entry is evicted
//
// stripe.put adds a new entry and calls policy.insert, which chooses the entries that must go.
// stripe.bury takes those out of the table and the roster, in the same critical section. The
// choice is made in policy.shift (the oldest entry of the window), policy.contest and
// policy.victim (the next one of the main ring).
//
// # Where expired entries are removed
//
// The janitor (janitor.go) removes them within a second of their expiry, plus the time of a
// sweep. The policy removes an expired entry when it meets one while it makes room, and a Put
// replaces the entry of its key. Until then an expired entry stays: Find returns it and Len
// counts it, but Hit and HitAt do not return it, and Alive reports false.
//
// # Invariants
//
//   - Whenever the mutex of a stripe is free, every entry of its table is in exactly one ring,
//     and in the roster exactly if it expires. No other entry is in either.
//   - A stripe never has more entries than its capacity while its mutex is free.
//   - An entry that was just put is there, whatever the capacity.
//   - A reader never misses a key that is there throughout its search. table.go says why.
//   - An entry that is out of the tier links to no other, so a caller that holds it keeps no
//     other alive.
//   - Locks are taken in this order: janitor.sweeping, the mutex of one stripe, janitor.mu. No
//     goroutine locks two stripes at the same time.
//
// # Goroutines and timers
//
// The package starts no goroutine. The janitor has one timer, which is armed only while some
// entry expires. The timer holds the tier weakly: a tier that nobody uses is garbage, even if it
// was not closed. [Tier.Close] stops the timer and waits for a sweep that runs. The coarse clock
// is not the tier's: Close does not stop it.
//
// # Where to start reading
//
//   - tier.go: Tier and its methods. stripe.go: the critical sections of writers.
//   - entry.go: Entry, its state bits and its Detail.
//   - table.go: the hash table. hash.go: keys and their hashes.
//   - policy.go: the eviction policy, with ring.go, sketch.go and ghost.go.
//   - janitor.go: sweeps. roster.go: the list of entries that expire.
package tier
