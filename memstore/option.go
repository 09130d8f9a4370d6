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

// WithCapacity limits how many keys there are, those that hold only a lease included. New panics if n is not positive.
//
// By default, 65,536.
func WithCapacity(n int) Option {
	return optionFunc(func(s *settings) { s.capacity = positive("WithCapacity", n) })
}

// WithMaxBytes limits how much memory the keys take, about: some 400 bytes each besides their text and Data. A record
// too large to fit even alone is an error of Set, Add and Commit, and changes nothing. New panics if n is not positive.
//
// By default, there is no limit but the capacity.
func WithMaxBytes(n int) Option {
	return optionFunc(func(s *settings) { s.maxBytes = positive("WithMaxBytes", n) })
}

func positive(option string, n int) uint64 {
	if n <= 0 {
		panic(fmt.Sprintf("memstore: %s(%d): give a positive number", option, n))
	}
	return uint64(n)
}
