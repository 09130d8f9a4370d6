package chaos

import (
	"github.com/zodiac-go/zodiac/driver"
)

// An Ability is a set of the interfaces that a store may implement beside [driver.Store]: Leaser|Waker is both.
type Ability uint8

// The abilities.
const (
	Leaser Ability = 1 << iota
	Batcher
	DataReader
	Waker
	Announcer
)

// Without returns s without some abilities: type assertions find those that are left. What else s has is hidden too.
func Without(s driver.Store, abilities Ability) driver.Store {
	return compose(s, abilitiesOf(s)&^abilities)
}

// Bare returns s without any abilities, as somebody's first store is.
func Bare(s driver.Store) driver.Store { return compose(s, 0) }

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
		has |= Announcer
	}
	return has
}

// compose returns s as a store that has just these abilities, of those that it has itself. What a value implements is
// decided when it is compiled, so there has to be a type for each set.
func compose(s driver.Store, has Ability) driver.Store {
	l, _ := s.(driver.Leaser)
	b, _ := s.(driver.Batcher)
	d, _ := s.(driver.DataReader)
	w, _ := s.(driver.Waker)
	a, _ := s.(driver.Bus)
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
	case Announcer:
		return struct {
			driver.Store
			driver.Bus
		}{s, a}
	case Leaser | Announcer:
		return struct {
			driver.Store
			driver.Leaser
			driver.Bus
		}{s, l, a}
	case Batcher | Announcer:
		return struct {
			driver.Store
			driver.Batcher
			driver.Bus
		}{s, b, a}
	case Leaser | Batcher | Announcer:
		return struct {
			driver.Store
			driver.Leaser
			driver.Batcher
			driver.Bus
		}{s, l, b, a}
	case DataReader | Announcer:
		return struct {
			driver.Store
			driver.DataReader
			driver.Bus
		}{s, d, a}
	case Leaser | DataReader | Announcer:
		return struct {
			driver.Store
			driver.Leaser
			driver.DataReader
			driver.Bus
		}{s, l, d, a}
	case Batcher | DataReader | Announcer:
		return struct {
			driver.Store
			driver.Batcher
			driver.DataReader
			driver.Bus
		}{s, b, d, a}
	case Leaser | Batcher | DataReader | Announcer:
		return struct {
			driver.Store
			driver.Leaser
			driver.Batcher
			driver.DataReader
			driver.Bus
		}{s, l, b, d, a}
	case Waker | Announcer:
		return struct {
			driver.Store
			driver.Waker
			driver.Bus
		}{s, w, a}
	case Leaser | Waker | Announcer:
		return struct {
			driver.Store
			driver.Leaser
			driver.Waker
			driver.Bus
		}{s, l, w, a}
	case Batcher | Waker | Announcer:
		return struct {
			driver.Store
			driver.Batcher
			driver.Waker
			driver.Bus
		}{s, b, w, a}
	case Leaser | Batcher | Waker | Announcer:
		return struct {
			driver.Store
			driver.Leaser
			driver.Batcher
			driver.Waker
			driver.Bus
		}{s, l, b, w, a}
	case DataReader | Waker | Announcer:
		return struct {
			driver.Store
			driver.DataReader
			driver.Waker
			driver.Bus
		}{s, d, w, a}
	case Leaser | DataReader | Waker | Announcer:
		return struct {
			driver.Store
			driver.Leaser
			driver.DataReader
			driver.Waker
			driver.Bus
		}{s, l, d, w, a}
	case Batcher | DataReader | Waker | Announcer:
		return struct {
			driver.Store
			driver.Batcher
			driver.DataReader
			driver.Waker
			driver.Bus
		}{s, b, d, w, a}
	case Leaser | Batcher | DataReader | Waker | Announcer:
		return struct {
			driver.Store
			driver.Leaser
			driver.Batcher
			driver.DataReader
			driver.Waker
			driver.Bus
		}{s, l, b, d, w, a}
	default:
		return struct{ driver.Store }{s}
	}
}
