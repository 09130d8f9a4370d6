package memstore

import "fmt"

// An Option is a setting of [New].
type Option interface{ apply(*settings) }

type settings struct {
	capacity uint64
	maxBytes uint64
}

type optionFunc func(*settings)

func (f optionFunc) apply(s *settings) { f(s) }

// WithCapacity limits the number of keys, those that hold only a lease included. New panics if n is
// not positive.
//
// By default, the limit is 65,536.
func WithCapacity(n int) Option {
	return optionFunc(func(s *settings) { s.capacity = positive("WithCapacity", n) })
}

// WithMaxBytes limits about how many bytes of memory the keys take. Each key takes about 400
// bytes besides its text and its Data. Set, Add and Commit return an error for a record that
// would not fit even alone, and change nothing. New panics if n is not positive.
//
// By default, only the number of keys is limited.
func WithMaxBytes(n int) Option {
	return optionFunc(func(s *settings) { s.maxBytes = positive("WithMaxBytes", n) })
}

func positive(option string, n int) uint64 {
	if n <= 0 {
		panic(fmt.Sprintf("memstore: %s(%d): give a positive number", option, n))
	}
	return uint64(n)
}
