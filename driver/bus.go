package driver

import (
	"context"
	"time"
)

// A Bus is a Store that carries invalidations to all processes. Without it, memory in front of the
// store keeps an entry for at most a second.
//
// A Bus need not be perfect. Loaders number what they publish, notice within a second what a Bus has
// lost, and bear copies, delays and another order. A Bus that knows of a loss says so by a Gap.
//
// All loaders over one Store in a process publish and subscribe together: they send one message at
// a time, which names all keys that were invalidated meanwhile.
type Bus interface {
	// Publish sends inv to all subscribers, those in this process included. It returns when the
	// Bus has accepted inv, which need not have arrived yet. Publish without subscribers is no
	// error.
	Publish(ctx context.Context, inv Invalidation) error

	// Subscribe calls fn for every Invalidation that is published after Subscribe has returned,
	// and passes it on unchanged. One call of fn runs at a time. fn does not block.
	//
	// What is received but was not sent by Publish is dropped, and fn is told by an Invalidation
	// with nothing but Malformed set. That costs no more than a message of Publish.
	//
	// ctx is for the call of Subscribe. The subscription goes on after ctx has ended.
	//
	// The last call may have Gap set: then invalidations may have been lost, and the subscriber
	// has to subscribe again to receive more. A Gap comes within two seconds of the loss.
	//
	// stop ends the subscription. No call of fn runs or begins after stop has returned, and
	// other subscriptions go on. fn must not call stop. stop may be called after a Gap, and
	// after Close.
	Subscribe(ctx context.Context, fn func(Invalidation)) (stop func(), err error)
}

// An Invalidation says which keys were invalidated. One without Keys and Prefix says only that its
// publisher has reached a Number.
type Invalidation struct {
	Keys   []string // names of keys, in whatever form the publisher writes them
	Prefix string   // if not empty: all keys that begin with it

	// Publisher is a random number, another one for each process and Store. Number counts its
	// messages from 1. A message that is sent again has the same Number. Zero means that the
	// publisher does not number.
	Publisher uint64
	Number    uint64

	// Sent is when the message was sent, by the clock of the publisher. A Bus may cut it to
	// microseconds, and Age too.
	Sent time.Time

	// Age is how long ago the publisher had sent its message before this one. It is 0 if there
	// was none.
	Age time.Duration

	Gap       bool // invalidations may have been lost, and no more will come
	Malformed bool // something else than an Invalidation was received and dropped
}

// Repeats reports whether inv says nothing but the Number that its publisher has reached.
func (inv *Invalidation) Repeats() bool { return len(inv.Keys) == 0 && inv.Prefix == "" }
