package lease

import "github.com/zodiac-go/zodiac"

// Rights returns how many rights a Guard of Local keeps.
func Rights(g zodiac.Guard) int {
	l := g.(*local)
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.rights)
}
