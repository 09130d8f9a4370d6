package lease

import "github.com/zodiac-go/zodiac/driver"

// Rights returns how many rights a Guard of Local has in its map.
func Rights(g driver.Guard) int {
	l := g.(*local)
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.rights)
}
