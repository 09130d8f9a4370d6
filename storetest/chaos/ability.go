package chaos

import "github.com/zodiac-go/zodiac"

// An Ability is a set of the interfaces that a store may implement beside [zodiac.Store]: Leaser|Waker is both.
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
func Without(s zodiac.Store, abilities Ability) zodiac.Store {
	return compose(s, abilitiesOf(s)&^abilities)
}

// Bare returns s without any abilities, as somebody's first store is.
func Bare(s zodiac.Store) zodiac.Store { return compose(s, 0) }

func abilitiesOf(s zodiac.Store) (has Ability) {
	if _, ok := s.(zodiac.Leaser); ok {
		has |= Leaser
	}
	if _, ok := s.(zodiac.Batcher); ok {
		has |= Batcher
	}
	if _, ok := s.(zodiac.DataReader); ok {
		has |= DataReader
	}
	if _, ok := s.(zodiac.Waker); ok {
		has |= Waker
	}
	if _, ok := s.(zodiac.Announcer); ok {
		has |= Announcer
	}
	return has
}

// compose returns s as a store that has just these abilities, of those that it has itself. What a value implements is
// decided when it is compiled, so there has to be a type for each set.
func compose(s zodiac.Store, has Ability) zodiac.Store {
	l, _ := s.(zodiac.Leaser)
	b, _ := s.(zodiac.Batcher)
	d, _ := s.(zodiac.DataReader)
	w, _ := s.(zodiac.Waker)
	a, _ := s.(zodiac.Announcer)
	switch has {
	case Leaser:
		return struct {
			zodiac.Store
			zodiac.Leaser
		}{s, l}
	case Batcher:
		return struct {
			zodiac.Store
			zodiac.Batcher
		}{s, b}
	case Leaser | Batcher:
		return struct {
			zodiac.Store
			zodiac.Leaser
			zodiac.Batcher
		}{s, l, b}
	case DataReader:
		return struct {
			zodiac.Store
			zodiac.DataReader
		}{s, d}
	case Leaser | DataReader:
		return struct {
			zodiac.Store
			zodiac.Leaser
			zodiac.DataReader
		}{s, l, d}
	case Batcher | DataReader:
		return struct {
			zodiac.Store
			zodiac.Batcher
			zodiac.DataReader
		}{s, b, d}
	case Leaser | Batcher | DataReader:
		return struct {
			zodiac.Store
			zodiac.Leaser
			zodiac.Batcher
			zodiac.DataReader
		}{s, l, b, d}
	case Waker:
		return struct {
			zodiac.Store
			zodiac.Waker
		}{s, w}
	case Leaser | Waker:
		return struct {
			zodiac.Store
			zodiac.Leaser
			zodiac.Waker
		}{s, l, w}
	case Batcher | Waker:
		return struct {
			zodiac.Store
			zodiac.Batcher
			zodiac.Waker
		}{s, b, w}
	case Leaser | Batcher | Waker:
		return struct {
			zodiac.Store
			zodiac.Leaser
			zodiac.Batcher
			zodiac.Waker
		}{s, l, b, w}
	case DataReader | Waker:
		return struct {
			zodiac.Store
			zodiac.DataReader
			zodiac.Waker
		}{s, d, w}
	case Leaser | DataReader | Waker:
		return struct {
			zodiac.Store
			zodiac.Leaser
			zodiac.DataReader
			zodiac.Waker
		}{s, l, d, w}
	case Batcher | DataReader | Waker:
		return struct {
			zodiac.Store
			zodiac.Batcher
			zodiac.DataReader
			zodiac.Waker
		}{s, b, d, w}
	case Leaser | Batcher | DataReader | Waker:
		return struct {
			zodiac.Store
			zodiac.Leaser
			zodiac.Batcher
			zodiac.DataReader
			zodiac.Waker
		}{s, l, b, d, w}
	case Announcer:
		return struct {
			zodiac.Store
			zodiac.Announcer
		}{s, a}
	case Leaser | Announcer:
		return struct {
			zodiac.Store
			zodiac.Leaser
			zodiac.Announcer
		}{s, l, a}
	case Batcher | Announcer:
		return struct {
			zodiac.Store
			zodiac.Batcher
			zodiac.Announcer
		}{s, b, a}
	case Leaser | Batcher | Announcer:
		return struct {
			zodiac.Store
			zodiac.Leaser
			zodiac.Batcher
			zodiac.Announcer
		}{s, l, b, a}
	case DataReader | Announcer:
		return struct {
			zodiac.Store
			zodiac.DataReader
			zodiac.Announcer
		}{s, d, a}
	case Leaser | DataReader | Announcer:
		return struct {
			zodiac.Store
			zodiac.Leaser
			zodiac.DataReader
			zodiac.Announcer
		}{s, l, d, a}
	case Batcher | DataReader | Announcer:
		return struct {
			zodiac.Store
			zodiac.Batcher
			zodiac.DataReader
			zodiac.Announcer
		}{s, b, d, a}
	case Leaser | Batcher | DataReader | Announcer:
		return struct {
			zodiac.Store
			zodiac.Leaser
			zodiac.Batcher
			zodiac.DataReader
			zodiac.Announcer
		}{s, l, b, d, a}
	case Waker | Announcer:
		return struct {
			zodiac.Store
			zodiac.Waker
			zodiac.Announcer
		}{s, w, a}
	case Leaser | Waker | Announcer:
		return struct {
			zodiac.Store
			zodiac.Leaser
			zodiac.Waker
			zodiac.Announcer
		}{s, l, w, a}
	case Batcher | Waker | Announcer:
		return struct {
			zodiac.Store
			zodiac.Batcher
			zodiac.Waker
			zodiac.Announcer
		}{s, b, w, a}
	case Leaser | Batcher | Waker | Announcer:
		return struct {
			zodiac.Store
			zodiac.Leaser
			zodiac.Batcher
			zodiac.Waker
			zodiac.Announcer
		}{s, l, b, w, a}
	case DataReader | Waker | Announcer:
		return struct {
			zodiac.Store
			zodiac.DataReader
			zodiac.Waker
			zodiac.Announcer
		}{s, d, w, a}
	case Leaser | DataReader | Waker | Announcer:
		return struct {
			zodiac.Store
			zodiac.Leaser
			zodiac.DataReader
			zodiac.Waker
			zodiac.Announcer
		}{s, l, d, w, a}
	case Batcher | DataReader | Waker | Announcer:
		return struct {
			zodiac.Store
			zodiac.Batcher
			zodiac.DataReader
			zodiac.Waker
			zodiac.Announcer
		}{s, b, d, w, a}
	case Leaser | Batcher | DataReader | Waker | Announcer:
		return struct {
			zodiac.Store
			zodiac.Leaser
			zodiac.Batcher
			zodiac.DataReader
			zodiac.Waker
			zodiac.Announcer
		}{s, l, b, d, w, a}
	default:
		return struct{ zodiac.Store }{s}
	}
}
