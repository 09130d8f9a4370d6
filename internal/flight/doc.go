// Package flight lets the callers of one key share fetches.
//
// A fetch is one call of the fetch function for one key. A flight is a fetch and the callers that
// wait for its outcome. A [Group] holds the flights of one cache. It decides which flight a
// caller joins, when a fetch has to start, and which fetch may write its result.
//
// The package is a state machine. It does not call the fetch function. It starts no goroutine,
// sets no timer and reads no clock. Its owner runs the fetches and tells the Group what has
// happened, so a test can try every order of events. The package does not know what a result is,
// when a result expires, or where results are stored. The owner keeps all that in the Job of a
// [Flight].
//
// # The life of a flight
//
//  1. A caller calls [Group.Join]. It joins a flight or begins one. If its role is [Leads], the
//     owner starts the fetch on a goroutine of its own, and the caller waits with [Flight.Wait].
//  2. The fetch function returns. The owner calls [Group.Seal]. If Seal returns true, the owner
//     writes the result and calls [Group.Unseal]. If it returns false, nothing is written. In a
//     shared Group the owner may write after Unseal.
//  3. The owner calls [Group.Finish]. Now the flight is over: every caller has its outcome.
//  4. As its last act, the goroutine of the fetch calls [Group.Returned].
//
// A flight can be over while its fetch still runs: after [Group.Fail], after [Group.FailAll], or
// when the last caller has called [Group.Leave]. Such a flight is abandoned. It cannot
// be sealed any more.
//
// An invalidation of the key ([Group.Change], [Group.DiscardAll]) discards a flight whose fetch
// has started and that is not sealed. The callers that joined before it still get the outcome.
// Nothing is written, and no caller joins any more; but see below for shared Groups.
//
// # The kinds of callers
//
// A [Plain] caller shares any fetch whose result may be written. An [Aside] caller wants nothing
// written for its sake. A [Forced] caller wants a fetch that starts after its call.
//
// # The flights of one key
//
// The line of a key (line.go) has four slots for flights:
//
//   - open: the flight that may write. Callers of every kind but [Forced] join it.
//   - aside: the flight of an [Aside] caller, whose result is never written. Other Aside callers
//     join it if there is no open flight.
//   - forced: the flight of a [Forced] caller, while its fetch runs. It is the open flight too,
//     until it is sealed or discarded.
//   - waiting: the flight that a Forced caller begins while another forced fetch runs. Its fetch
//     starts when the forced flight is over. Forced callers that come before that join it. So
//     however many callers force a fetch, one forced fetch runs and one waits.
//
// A forced fetch that starts discards the open flight, because the fetch of that flight began
// earlier and its result may be older.
//
// A caller can refuse to share a flight. If that flight is in the slot that the caller's own
// flight needs, the caller's own flight gets no slot: it is discarded from the beginning.
//
// # Where a late caller is refused
//
// A caller that comes too late for a flight does not find it. Seal and every invalidation take
// the flight out of the open and the aside slot, under the lock of the key. line.joinable looks
// only there and in the waiting slot. A forced flight stays in the forced slot until it is over,
// but no caller joins from that slot. After [Group.Close], Join refuses every caller with
// [ErrClosed].
//
// That is all for invalidations that the Group is told of. A shared Group (see [NewGroup]) is not
// told of those in other processes, and line.shareLast lets a caller join a discarded flight. There
// the owner refuses the outcome afterwards: storeOutcome in storejob.go of the root package. The
// limit is Fetch.before or Fetch.started of internal/remote; Fetch.Outcome chooses it.
//
// # How closing waits
//
// [Group.Close] makes Join return ErrClosed. Flights that run go on, but cannot be sealed unless the
// Group is shared. The fetches of waiting flights still start. [Group.Drain] waits until every
// fetch has returned. Each shard counts the fetches that have started and not returned. A waiting
// fetch is counted when the flight before it is over, and that happens before the earlier fetch
// returns. So the count cannot reach zero between the two, and zero after Close is final.
//
// # Invariants
//
//   - At most one flight of a key can still be sealed at any time: the open one.
//   - A flight never writes if its key was invalidated after its fetch had started and before its
//     Seal.
//   - A caller never joins a flight that is sealed, discarded or over. Shared Groups are another
//     matter: see above.
//   - A Forced caller never shares a fetch that started before its call.
//   - No two fetches wait for each other. Join refuses the wait that would close a cycle, with
//     [ErrCycle] (wait.go).
//   - The mutex of a shard is locked before the mutex of the graph in wait.go. No goroutine locks
//     two shards at the same time.
//
// # What a caller runs within
//
// A [Link] says in which fetch, or during which [Turn] of an Update, a caller runs. It is what finds
// cycles of waits. It also has the place that the fetch has among those that WithFetchLimit allows,
// which is lent while the caller waits.
//
// # Where to start reading
//
//   - flight.go: Flight, its kinds and its states.
//   - group.go: Group. Callers come (Join, Share) and go (Leave).
//   - finish.go: how a flight ends, from Seal to Returned.
//   - invalidate.go: Change, DiscardAll and watches.
//   - close.go: Close and Drain.
//   - line.go: the slots of one key. shard.go: the lines under one mutex.
//   - wait.go: which fetch waits for which, over all Groups of the process.
package flight
