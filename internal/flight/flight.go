package flight

// A Kind says what a caller wants of a flight. A flight has the kind of the caller that began it.
type Kind uint8

// The kinds.
const (
	Plain  Kind = iota // joins the open flight, or begins it
	Aside              // joins the open flight or the aside one, or begins one that never writes
	Forced             // wants a fetch that starts after its call; joins the waiting flight only
)

// A Role says what a caller is to the flight that it got from Join.
type Role uint8

// The roles.
const (
	Joined Role = iota // another caller began the flight
	Began              // this caller began the flight; its fetch starts later
	Leads              // this caller began the flight, and its fetch must start now
)

// A Flight is one fetch and the callers that wait for its outcome.
//
// Key and Kind never change. The Group never touches Job. The owner fills it in when the flight
// begins (see [Group.Join]). The goroutine of the fetch may change it until Finish. A caller may
// read what that goroutine changes if its outcome came from Finish. After Fail it may not,
// because the fetch can still run.
type Flight[K comparable, J any] struct {
	Key  K
	Kind Kind
	Job  J // the owner's: what to do, and what came of it

	// shard and done never change. The mutex of the shard guards the other fields. Once done is
	// closed, err may be read without it.
	shard      *shard[K, J]
	line       *line[K, J]   // the line that has f in a slot; nil if f is in none
	counted    *line[K, J]   // the line whose running counts the fetch of f; nil if none does
	next, prev *Flight[K, J] // the neighbours in the shard's ring; nil once f is over
	callers    int32         // Joins that no Leave has taken back
	state      state
	done       chan struct{} // closed when f is over
	err        error         // part of the outcome; fixed before done is closed
}

// A state is a set of flags. A flag that is set is never cleared.
type state uint8

const (
	started   state = 1 << iota // the fetch has started, or its owner is about to start it
	discarded                   // nothing may be written, and no caller joins but by shareLast
	sealed                      // the right to write is used up, and no caller joins
	abandoned                   // a fetch that runs does so for nobody; abandoned => over
	over                        // the callers have their outcome, or none is left
)

// Wait waits until f is over and returns true, or until end is closed and returns false. A nil
// end is never closed. If both have happened, Wait returns true.
func (f *Flight[K, J]) Wait(end <-chan struct{}) bool {
	if end == nil { // a plain receive is much cheaper than a select
		<-f.done
		return true
	}
	select {
	case <-f.done:
		return true
	case <-end:
	}
	// A select with both cases ready chooses at random, but an outcome is worth more than an end.
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// Wanted reports whether callers still wait for f. Only a function that Change calls for the key
// of f may call it: it needs the lock of the key.
func (f *Flight[K, J]) Wanted() bool { return f.state&(abandoned|over) == 0 }

// Err returns the error that the callers get. The caller must have seen Wait return true. If Err
// returns nil, the Job has the result of the fetch.
func (f *Flight[K, J]) Err() error { return f.err }
