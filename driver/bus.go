package driver

import "context"

// A Bus is a Store that carries invalidations to all processes. Without it, memory in front of the
// store keeps an entry for at most a second.
type Bus interface {
	// Publish sends inv to all subscribers, those in this process included. Publish without
	// subscribers is no error.
	Publish(ctx context.Context, inv Invalidation) error

	// Subscribe calls fn for every Invalidation that is published after Subscribe has returned,
	// and passes it on unchanged. One call of fn runs at a time. fn does not block.
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

// An Invalidation says which keys were invalidated.
type Invalidation struct {
	Keys   []string // names of keys, in whatever form the publisher writes them
	Prefix string   // if not empty: all keys that begin with it
	Gap    bool     // invalidations may have been lost, and no more will come
}
