package storetest

// abortRules are about Abort.
var abortRules = []rule{
	{
		name:  "AbortEndsTheLease",
		needs: leaser,
		says: "Abort ends the lease with that token, and returns whether it was live and not " +
			"revoked.",
		check: func(p *probe) {
			token := p.win(p.key("k"), ask(long))
			p.abort(p.key("k"), token, true)
			p.wantLost(p.key("k"), token)
			p.abort(p.key("k"), token, false)
			p.win(p.key("k"), ask(long))
		},
	},
	{
		name:  "AbortLeavesTheRecord",
		needs: leaser,
		says:  "Abort leaves a record of the key as it is.",
		check: func(p *probe) {
			version, token := p.refresh(p.key("k"), "old", 2*long)
			p.abort(p.key("k"), token, true)
			p.commit(p.key("k"), token, "new", false)
			if r := p.wantData(p.key("k"), "old"); r.Version != version || r.TTL > long+slack {
				p.errorf("Version %q, TTL %v; want %q and at most %v", r.Version, r.TTL, version, long)
			}
			p.win(p.key("k"), askSeen(long, version))
		},
	},
	{
		name:  "AbortDoesNotLengthenTheRecord",
		needs: leaser,
		says:  "Abort leaves a record of the key as it is.",
		check: func(p *probe) {
			version := p.set(p.key("k"), "old", short)
			token := p.win(p.key("k"), askSeen(long, version))
			p.abort(p.key("k"), token, true)
			pass(past)
			p.wantMiss(p.key("k"))
			p.win(p.key("k"), ask(long))
		},
	},
	{
		name:  "AbortAfterTheRecordExpired",
		needs: leaser,
		says: "Abort ends the lease with that token, and returns whether it was live and not " +
			"revoked. A key is present while it has a record that has not expired.",
		check: func(p *probe) {
			token := p.win(p.key("k"), askSeen(long, p.set(p.key("k"), "old", short)))
			pass(past)
			p.abort(p.key("k"), token, true)
			p.wantMiss(p.key("k"))
			p.win(p.key("k"), ask(long))
		},
	},
	{
		name:  "AbortWithTheTokenOfTheAsk",
		needs: leaser,
		says: "The token may also be the one in the Ask, if the outcome of Acquire is " +
			"unknown: then every grant of that Ask ends.",
		check: func(p *probe) {
			a := ask(long)
			token := p.win(p.key("k"), a)
			p.abort(p.key("k"), a.Token, true)
			p.wantLost(p.key("k"), token)
			p.win(p.key("k"), ask(long))
		},
	},
	{
		name:  "AbortWithTheTokenOfARefreshAsk",
		needs: leaser,
		says: "The token may also be the one in the Ask, if the outcome of Acquire is " +
			"unknown: then every grant of that Ask ends. Abort leaves a record of the key " +
			"as it is.",
		check: func(p *probe) {
			version := p.set(p.key("k"), "old", long)
			a := askSeen(long, version)
			token := p.win(p.key("k"), a)
			p.abort(p.key("k"), a.Token, true)
			p.commit(p.key("k"), token, "new", false)
			p.wantData(p.key("k"), "old")
			p.win(p.key("k"), askSeen(long, version))
		},
	},
	{
		name:  "AbortWithAnotherToken",
		needs: leaser,
		says:  "Abort returns false and changes nothing if key has no lease with that token.",
		check: func(p *probe) {
			a := ask(long)
			p.abort(p.key("k"), a.Token, false)
			token := p.win(p.key("k"), a)
			others := []string{ask(long).Token, token + "x", a.Token + "x", a.Token[:len(a.Token)-1], ""}
			for _, other := range others {
				p.abort(p.key("k"), other, false)
			}
			p.abort(p.key("other"), token, false)
			p.commit(p.key("k"), token, "data", true)
		},
	},
	{
		name:  "AbortWithASupersededToken",
		needs: leaser,
		says:  "Abort returns false and changes nothing if key has no lease with that token.",
		check: func(p *probe) {
			a := ask(long)
			first := p.win(p.key("k"), a)
			second := p.win(p.key("k"), askForce(long))
			p.abort(p.key("k"), first, false)
			p.abort(p.key("k"), a.Token, false)
			p.commit(p.key("k"), second, "data", true)
		},
	},
	{
		name:  "AbortAfterCommit",
		needs: leaser,
		says:  "Abort returns false and changes nothing if key has no lease with that token.",
		check: func(p *probe) {
			a := ask(long)
			token := p.win(p.key("k"), a)
			p.commit(p.key("k"), token, "data", true)
			p.abort(p.key("k"), token, false)
			p.abort(p.key("k"), a.Token, false)
			p.wantData(p.key("k"), "data")
		},
	},
	{
		name:  "AbortAfterTheDeadline",
		needs: leaser,
		says: "Abort ends the lease with that token, and returns whether it was live and not " +
			"revoked.",
		check: func(p *probe) {
			token := p.win(p.key("k"), ask(short))
			version, second := p.refresh(p.key("record"), "old", short)
			pass(past)
			p.abort(p.key("k"), token, false)
			p.abort(p.key("record"), second, false)
			p.commit(p.key("record"), second, "new", false)
			if r := p.wantData(p.key("record"), "old"); r.Version != version {
				p.errorf("Version %q; want %q as before", r.Version, version)
			}
		},
	},
	{
		name:  "AbortOfARevokedLease",
		needs: leaser,
		says: "Abort ends the lease with that token, and returns whether it was live and not " +
			"revoked. A lease that Clear has revoked still counts as live to Acquire, until " +
			"its holder ends it or its time is over.",
		check: func(p *probe) {
			token := p.win(p.key("k"), ask(long))
			p.clear(0, p.key("k"))
			p.abort(p.key("k"), token, false)
			p.win(p.key("k"), ask(long))
		},
	},
}
