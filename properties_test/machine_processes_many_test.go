package properties_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/zodiac-go/zodiac"
	"pgregory.net/rapid"
)

// This file has the parts of the machine of processes that are about GetMany, GetOrFetch, tags of
// values, and ValidIf.

// idOf returns the id of the value that is made at a tick. Its traits vary with the tick, but SkipIf
// does not skip it.
func idOf(tick int64) int64 {
	id := tick<<20 + int64(uint64(scatter(tick))%allTraits)
	for skipTrait.of(value{id: id}) == 3 {
		id++
	}
	return id
}

// lateTags are the names in tagTrait.
var lateTags = []string{"a", "b"}

// tagFloors are floors of the values that have each of lateTags.
type tagFloors [2]int64

// floors are the ticks before which no value may have been made: of any value, and of those with
// late tags.
type floors struct {
	key  int64
	tags tagFloors
}

// oldest returns the floor for a version.
func (m *traffic) oldest(ver *version, f floors) int64 {
	floor := f.key
	if ver == nil || ver.none || !m.tagsFunc {
		return floor
	}
	of := tagTrait.of(value{id: ver.id})
	for i, at := range f.tags {
		if of>>i&1 != 0 {
			floor = max(floor, at)
		}
	}
	return floor
}

// refuses reports whether ValidIf refuses a version.
func (m *traffic) refuses(ver *version) bool {
	return m.validIf && ver != nil && !ver.none && !value{id: ver.id}.valid()
}

func (m *traffic) doGetOrFetch(*rapid.T) { m.visit(m.drawProc(), m.drawKey(), "own"); m.waitIdle() }

// errAbsent stands for a key that GetMany has returned nothing for.
var errAbsent = errors.New("absent from the map and from the errors")

// doGetMany begins a GetMany of all keys.
func (m *traffic) doGetMany(t *rapid.T) {
	p, id := m.drawProc(), m.next()
	var all []*visit
	var keys []int
	for key := range m.keys {
		all = append(all, m.newVisit(p, key, "many", id))
		keys = append(keys, key)
	}
	if rapid.Bool().Draw(t, "the other way round") {
		keys[0], keys[1] = keys[1], keys[0]
	}
	for _, v := range all {
		v.all = all
	}
	ctx, began := m.comes(all[0]), time.Now()
	spawn(func() result {
		vs, err := p.GetMany(ctx, keys)
		many, ok := errors.AsType[*zodiac.ManyError[int]](err)
		for _, v := range all {
			var r result
			switch val, has := vs[v.key]; {
			case has:
				r.val = val
			case ok && many.Errors[v.key] != nil:
				r.err = many.Errors[v.key]
			case err != nil && !ok:
				r.err = err
			default:
				r.err = errAbsent
			}
			v.at = began // it may have had this one since then, and waited for another
			v.res <- r
		}
		return result{}
	})
	m.waitIdle()
}

// callerOf returns the visit of a caller that is about a key. The caller holds mu.
func (m *traffic) callerOf(id int64, key int) *visit {
	if v := m.callers[id]; v != nil {
		for _, v := range v.all {
			if v.key == key {
				return v
			}
		}
		return v
	}
	return nil
}

// knownAbsent reports whether a visit may have been told that the key does not exist. The caller
// holds mu.
func (m *traffic) knownAbsent(v *visit) bool {
	floor := v.floors.key
	if v.troubled {
		floor = v.own.key
	}
	for _, ver := range m.none {
		if ver.key == v.key && ver.tick >= floor {
			return true
		}
	}
	return false
}

// doSetMany sets all keys.
func (m *traffic) doSetMany(*rapid.T) {
	p := m.drawProc()
	opts, ttl := m.drawTTL()
	m.write(fmt.Sprintf("SetMany(%v)", ttl), p, func(v *version) ([]int, error) {
		other := &version{key: 1, tick: m.next()}
		other.id = idOf(other.tick)
		m.mu.Lock()
		m.made[other.id] = other
		m.mu.Unlock()
		v.key = 0
		return []int{0, 1}, p.SetMany(m.writing(), map[int]value{0: {id: v.id}, 1: {id: other.id}}, opts...)
	})
}
