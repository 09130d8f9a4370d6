package chaos

import "github.com/zodiac-go/zodiac/driver"

// An Ability is a set of interfaces that a store may implement besides [driver.Store].
// Leaser|Waker is the set of both.
type Ability uint8

// The abilities have the names of the interfaces in package driver.
const (
	Leaser Ability = 1 << iota
	Batcher
	DataReader
	Waker
	Bus
)

// Without returns s without some abilities. Type assertions find the abilities that are left.
// They do not find other methods of s.
func Without(s driver.Store, abilities Ability) driver.Store {
	return compose(s, abilitiesOf(s)&^abilities)
}

// Bare returns s without abilities, like a store that implements [driver.Store] only.
func Bare(s driver.Store) driver.Store { return compose(s, 0) }

// abilitiesOf returns the abilities of s.
func abilitiesOf(s driver.Store) (has Ability) {
	if _, ok := s.(driver.Leaser); ok {
		has |= Leaser
	}
	if _, ok := s.(driver.Batcher); ok {
		has |= Batcher
	}
	if _, ok := s.(driver.DataReader); ok {
		has |= DataReader
	}
	if _, ok := s.(driver.Waker); ok {
		has |= Waker
	}
	if _, ok := s.(driver.Bus); ok {
		has |= Bus
	}
	return has
}

// compose returns s as a store with exactly the abilities in has, all of which s must have. The
// methods of a value are those of its type, so there is a type for each of the 32 sets.
func compose(s driver.Store, has Ability) driver.Store {
	l, _ := s.(driver.Leaser)
	b, _ := s.(driver.Batcher)
	d, _ := s.(driver.DataReader)
	w, _ := s.(driver.Waker)
	bus, _ := s.(driver.Bus)
	switch has {
	case Leaser:
		return struct {
			driver.Store
			driver.Leaser
		}{s, l}
	case Batcher:
		return struct {
			driver.Store
			driver.Batcher
		}{s, b}
	case Leaser | Batcher:
		return struct {
			driver.Store
			driver.Leaser
			driver.Batcher
		}{s, l, b}
	case DataReader:
		return struct {
			driver.Store
			driver.DataReader
		}{s, d}
	case Leaser | DataReader:
		return struct {
			driver.Store
			driver.Leaser
			driver.DataReader
		}{s, l, d}
	case Batcher | DataReader:
		return struct {
			driver.Store
			driver.Batcher
			driver.DataReader
		}{s, b, d}
	case Leaser | Batcher | DataReader:
		return struct {
			driver.Store
			driver.Leaser
			driver.Batcher
			driver.DataReader
		}{s, l, b, d}
	case Waker:
		return struct {
			driver.Store
			driver.Waker
		}{s, w}
	case Leaser | Waker:
		return struct {
			driver.Store
			driver.Leaser
			driver.Waker
		}{s, l, w}
	case Batcher | Waker:
		return struct {
			driver.Store
			driver.Batcher
			driver.Waker
		}{s, b, w}
	case Leaser | Batcher | Waker:
		return struct {
			driver.Store
			driver.Leaser
			driver.Batcher
			driver.Waker
		}{s, l, b, w}
	case DataReader | Waker:
		return struct {
			driver.Store
			driver.DataReader
			driver.Waker
		}{s, d, w}
	case Leaser | DataReader | Waker:
		return struct {
			driver.Store
			driver.Leaser
			driver.DataReader
			driver.Waker
		}{s, l, d, w}
	case Batcher | DataReader | Waker:
		return struct {
			driver.Store
			driver.Batcher
			driver.DataReader
			driver.Waker
		}{s, b, d, w}
	case Leaser | Batcher | DataReader | Waker:
		return struct {
			driver.Store
			driver.Leaser
			driver.Batcher
			driver.DataReader
			driver.Waker
		}{s, l, b, d, w}
	case Bus:
		return struct {
			driver.Store
			driver.Bus
		}{s, bus}
	case Leaser | Bus:
		return struct {
			driver.Store
			driver.Leaser
			driver.Bus
		}{s, l, bus}
	case Batcher | Bus:
		return struct {
			driver.Store
			driver.Batcher
			driver.Bus
		}{s, b, bus}
	case Leaser | Batcher | Bus:
		return struct {
			driver.Store
			driver.Leaser
			driver.Batcher
			driver.Bus
		}{s, l, b, bus}
	case DataReader | Bus:
		return struct {
			driver.Store
			driver.DataReader
			driver.Bus
		}{s, d, bus}
	case Leaser | DataReader | Bus:
		return struct {
			driver.Store
			driver.Leaser
			driver.DataReader
			driver.Bus
		}{s, l, d, bus}
	case Batcher | DataReader | Bus:
		return struct {
			driver.Store
			driver.Batcher
			driver.DataReader
			driver.Bus
		}{s, b, d, bus}
	case Leaser | Batcher | DataReader | Bus:
		return struct {
			driver.Store
			driver.Leaser
			driver.Batcher
			driver.DataReader
			driver.Bus
		}{s, l, b, d, bus}
	case Waker | Bus:
		return struct {
			driver.Store
			driver.Waker
			driver.Bus
		}{s, w, bus}
	case Leaser | Waker | Bus:
		return struct {
			driver.Store
			driver.Leaser
			driver.Waker
			driver.Bus
		}{s, l, w, bus}
	case Batcher | Waker | Bus:
		return struct {
			driver.Store
			driver.Batcher
			driver.Waker
			driver.Bus
		}{s, b, w, bus}
	case Leaser | Batcher | Waker | Bus:
		return struct {
			driver.Store
			driver.Leaser
			driver.Batcher
			driver.Waker
			driver.Bus
		}{s, l, b, w, bus}
	case DataReader | Waker | Bus:
		return struct {
			driver.Store
			driver.DataReader
			driver.Waker
			driver.Bus
		}{s, d, w, bus}
	case Leaser | DataReader | Waker | Bus:
		return struct {
			driver.Store
			driver.Leaser
			driver.DataReader
			driver.Waker
			driver.Bus
		}{s, l, d, w, bus}
	case Batcher | DataReader | Waker | Bus:
		return struct {
			driver.Store
			driver.Batcher
			driver.DataReader
			driver.Waker
			driver.Bus
		}{s, b, d, w, bus}
	case Leaser | Batcher | DataReader | Waker | Bus:
		return struct {
			driver.Store
			driver.Leaser
			driver.Batcher
			driver.DataReader
			driver.Waker
			driver.Bus
		}{s, l, b, d, w, bus}
	default:
		return struct{ driver.Store }{s}
	}
}
