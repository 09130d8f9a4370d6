package storetest

import (
	"fmt"
	"strings"
)

// keyRules are about which keys an operation applies to.
var keyRules = []rule{
	{
		name: "KeysAreAnyText",
		says: "Keys are compared byte by byte, and no character of a key has a special meaning.",
		check: func(p *probe) {
			names := []string{
				"k", "K", " k", "k ", "k\t", "ключ", "é", "e\u0301", `'`, `"`, "`", `\`, "%", "_", "%00",
				"*", "?", "[a-z]", "{k}", "$1", "k:", "/", "..", "k'; DROP TABLE records; --",
				strings.Repeat("k", 1_400), strings.Repeat("k", 1_401),
			}
			for _, name := range names {
				p.ok("Set", p.store.Set(p.ctx, p.key(name), record(name, long)))
			}
			for _, name := range names {
				p.wantData(p.key(name), name)
			}
		},
	},
	{
		name: "DeleteCountsRecords",
		says: "Delete removes keys, revokes leases on them, and returns how many records " +
			"there were. A key that is given twice counts once.",
		check: func(p *probe) {
			p.set(p.key("a"), "data", long)
			p.set(p.key("b"), "data", long)
			p.set(p.key("c"), "data", long)
			p.delete(2, p.key("a"), p.key("none"), p.key("b"), p.key("a"))
			p.wantMiss(p.key("a"))
			p.wantMiss(p.key("b"))
			p.wantData(p.key("c"), "data")
		},
	},
	{
		name: "DeleteOfNoKeys",
		says: "Calling Delete without keys is no error.",
		check: func(p *probe) {
			p.delete(0)
		},
	},
	{
		name: "ClearRemovesExactlyThePrefix",
		says: "Clear removes all records whose keys begin with prefix, no others, and returns " +
			"how many there were.",
		check: func(p *probe) {
			for _, name := range []string{"in", "in:a", "inside", "i", "im", "io", "In:a", "out", "out:in"} {
				p.set(p.key(name), name, long)
			}
			p.clear(3, p.key("in"))
			for _, name := range []string{"in", "in:a", "inside"} {
				p.wantMiss(p.key(name))
			}
			for _, name := range []string{"i", "im", "io", "In:a", "out", "out:in"} {
				p.wantData(p.key(name), name)
			}
			p.clear(0, p.key("in"))
		},
	},
	{
		name: "ClearRemovesManyRecords",
		says: "Clear removes all records whose keys begin with prefix, no others, and returns " +
			"how many there were.",
		check: func(p *probe) {
			const n = 1_500
			for i := range n {
				p.ok("Set", p.store.Set(p.ctx, p.key(fmt.Sprint("in:", i)), record("data", long)))
			}
			p.clear(n, p.key("in:"))
			for i := range n {
				p.wantMiss(p.key(fmt.Sprint("in:", i)))
			}
		},
	},
	{
		name: "ClearPrefixIsText",
		says: "No character of prefix has a special meaning.",
		check: func(p *probe) {
			// If they were patterns, these would also match the key "axb", or "AXB".
			prefixes := []string{
				"a*", "a?", "a[x]", "a[a-z]", "a[^y]", "a%", "a_", "a.", "a.*", `a\x`, "^a", "(a)", "a+",
				"a{1}", "a|", "A", "$", "a''", `a"`,
			}
			p.set(p.key("axb"), "bystander", long)
			for _, prefix := range prefixes {
				p.set(p.key(prefix+"xb"), "data", long)
				p.clear(1, p.key(prefix))
				p.wantMiss(p.key(prefix + "xb"))
				p.wantData(p.key("axb"), "bystander")
			}
		},
	},
}
