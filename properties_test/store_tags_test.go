package properties_test

import (
	"testing"
)

// P6: a tag does not void leases. What was fetched before it was deleted used to be for those who joined after that too, if it was not
// to be stored anyway, or was to replace something: the mark that says so to other processes is accepted by the store.
func TestP6_ResultThatIsNotStoredIsNotForThoseWhoCameAfterDeleteTags(t *testing.T) {
	needsModes(t)
	const skipped = 3 * 48
	for began, begin := range beginners {
		t.Run(began, func(t *testing.T) {
			onProcesses(t, 2, config{tags: []string{"s"}, skipIf: true}, func(p *processes) {
				a, b := p.all[0], p.all[1]
				old := a.get(key, begin)
				running := a.call(key)
				if err := b.DeleteTags(bg, "s"); err != nil {
					t.Fatal(err)
				}
				late := a.get(key)
				for _, c := range a.o.take() { // it need not join
					c.returns(2)
				}
				running.returns(skipped)
				old.hasID(skipped)
				p.begun(2)
				late.hasID(2)
			})
		})
	}
}
