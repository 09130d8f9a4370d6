package zodiac

import (
	"log/slog"
	"sync/atomic"

	"github.com/zodiac-go/zodiac/internal/coarse"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// A core is what a Cache has that does not depend on its types. Whatever can be a method of it is: every pair of types compiles
// the methods of Cache anew.
type core struct {
	name     string
	observer Observer
	logger   *slog.Logger
	clock    *coarse.Clock
	tags     *tagSpace
	labels   []*tier.Label // of the loader's own tags
	own      []string      // their names
	tagged   bool          // WithTagsFunc: there may be tags that only a result tells

	counts counters
	closed atomic.Bool

	remote *remote       // nil without WithStore
	near   *near         // of memory in front of a store; nil if there is none
	order  atomic.Uint64 // counts what happens over a store: see sharing
	bare   bareWrites    // of a store that lends no leases
}
