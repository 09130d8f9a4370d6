package herd

import (
	"math"
	"slices"
	"time"
)

const (
	msec = time.Millisecond
	sec  = time.Second
)

// ours and baselines are the modes of most scenarios, ours first.
var (
	ours      = []string{"zodiac"}
	baselines = []string{"none", "flight", "redsync"}
)

// Bars of more than one scenario.
var (
	noStale      = Bar{Name: "stale reads", Measure: func(r *Result) float64 { return float64(r.Stale) }}
	noExpired    = Bar{Name: "expired reads", Measure: func(r *Result) float64 { return float64(r.Expired) }}
	noErrors     = Bar{Name: "failed reads", Measure: func(r *Result) float64 { return float64(r.Errors) }}
	noGoroutines = Bar{Name: "goroutines left behind", Measure: func(r *Result) float64 { return float64(r.Goroutines) }}
	someReads    = Bar{Name: "reads", Measure: func(r *Result) float64 { return float64(r.Reads) }, Least: 1000, Most: math.Inf(1)}
	always       = []Bar{noStale, noExpired, noErrors, noGoroutines, someReads}
)

func atMost(name string, most float64, measure func(*Result) float64) Bar {
	return Bar{Name: name, Measure: measure, Most: most}
}

func exactly(name string, n float64, measure func(*Result) float64) Bar {
	return Bar{Name: name, Measure: measure, Least: n, Most: n}
}

// undoubled says that a process fetches a key once at a time, for instance while it serves itself.
var undoubled = exactly("fetches of a process beside another of its own", 0, func(r *Result) float64 { return float64(r.Doubled) })

// ancient says how old at most reads are that an outage explains: what was fetched before it was known to be over.
func ancient(d time.Duration) Bar {
	return atMost("the oldest excused read, ms", millis(d), func(r *Result) float64 { return millis(r.Ancient) })
}

// longest says that nobody waits longer than d.
func longest(d time.Duration) Bar {
	return atMost("the slowest read, ms", millis(d), func(r *Result) float64 { return millis(r.Longest) })
}

// Scenarios are what make herd runs.
func Scenarios() []*Scenario {
	return []*Scenario{
		cold(), coldPolling(), steady(), expiring(), frozen(), frozenLonger(), frozenOften(), killed(), holed(), restarted(), promoted(), network(), nuisances(), evicting(),
		memory(), memoryCut(),
	}
}

// cold is one key that nobody has, and everybody wants.
func cold() *Scenario {
	return &Scenario{
		Name: "cold", About: "8 processes of 125 callers all ask for one key that is not there; the fetch takes 20 ms. 20 times.",
		Modes: slices.Concat(ours, baselines), Workers: 8, Callers: 125, Rounds: 500 * msec, Duration: 10 * sec,
		Fetch: [2]time.Duration{20 * msec, 20 * msec},
		Bars: append([]Bar{
			exactly("fetches of a key, at most", 1, func(r *Result) float64 { return float64(r.MostPerKey) }),
			atMost("the last caller past the fetch, ms, median of the rounds", 5, func(r *Result) float64 { return millis(r.Last.P50) }),
		}, always...),
	}
}

func coldPolling() *Scenario {
	s := cold()
	s.Name, s.About = "cold-polling", "The same where Redis refuses to publish and to subscribe."
	s.Modes, s.NoPubSub = ours, true
	s.Bars = append([]Bar{
		s.Bars[0],
		atMost("the last caller past the fetch, ms, worst of the rounds", 60, func(r *Result) float64 { return millis(r.Last.Max) }),
	}, always...)
	return s
}

// steady is a herd that reads keys that are invalidated again and again.
func steady() *Scenario {
	return &Scenario{
		Name: "steady", About: "8 processes of 32 callers read 10 keys; each is written and deleted every 150 ms; the origin takes 40 to 60 ms " +
			"and may return what was there when it was asked.",
		Modes: slices.Concat(ours, baselines), Workers: 8, Callers: 32, Keys: 10, Duration: 10 * sec,
		Fetch: [2]time.Duration{40 * msec, 60 * msec}, Think: [2]time.Duration{20 * msec, 40 * msec}, Invalidate: 150 * msec,
		Bars: append([]Bar{
			atMost("peak of origin calls a second, of the floor", 1.1, func(r *Result) float64 { return float64(r.PeakFetches) / float64(r.PeakFloor) }),
			atMost("reads p99, ms", 75, func(r *Result) float64 { return millis(r.Latency.P99) }),
		}, always...),
	}
}

// like is steady with other faults, for our modes only.
func like(name, about string, change func(*Scenario), bars ...Bar) *Scenario {
	s := steady()
	s.Name, s.About, s.Modes = name, about, ours
	s.Bars = append(bars, always...)
	change(s)
	return s
}

func expiring() *Scenario {
	return like("expiring", "As steady, but keys are not invalidated: they expire after 200 ms, and workers are stopped for 300 ms.", func(s *Scenario) {
		s.Invalidate, s.TTL = 0, 200*msec
		s.Faults = []Fault{{Kind: FreezeWorker, At: 500 * msec, Every: 500 * msec, For: 300 * msec}}
	})
}

func frozen() *Scenario {
	return like("frozen", "As steady, and workers are stopped for 900 ms at a time, most while they fetch. A lease is 500 ms.", func(s *Scenario) {
		s.Lease = 500 * msec
		s.Faults = []Fault{
			{Kind: FreezeFetching, At: 300 * msec, Every: 300 * msec, For: 900 * msec},
			{Kind: FreezeFetching, At: 700 * msec, Every: 300 * msec, For: 900 * msec},
			{Kind: FreezeWorker, At: sec, Every: 1500 * msec, For: 900 * msec},
		}
	}, longest(1200*msec)) // a lease, its successor's if that is stopped too, and a fetch
}

// frozenLonger stops workers for longer than they wait for Redis: it answers, and they may think that it did not.
func frozenLonger() *Scenario {
	s := frozen()
	s.Name, s.About, s.StoreTimeout = "frozen-longer", "As frozen, with a store timeout of 300 ms, which is over when a worker goes on.", 300*msec
	return s
}

// frozenOften makes as many things as it can happen between any two others.
func frozenOften() *Scenario {
	return like("frozen-often", "4 keys, fetched in 15 to 30 ms, deleted every 80 ms; a lease is 100 ms, and workers are stopped for 150 ms all the time.", func(s *Scenario) {
		s.Keys, s.Fetch, s.Invalidate, s.Lease = 4, [2]time.Duration{15 * msec, 30 * msec}, 80*msec, 100*msec
		for i := range 4 {
			s.Faults = append(s.Faults, Fault{Kind: FreezeFetching, At: time.Duration(300+50*i) * msec, Every: 100 * msec, For: 150 * msec})
		}
	})
}

func killed() *Scenario {
	return like("killed", "The worker that fetches is killed at a random instant, 200 times. A lease is 300 ms; keys are deleted every 800 ms.", func(s *Scenario) {
		s.Lease, s.Invalidate, s.Duration = 300*msec, 800*msec, 45*sec
		s.Faults = []Fault{{Kind: KillFetching, At: 300 * msec, Every: 150 * msec, Times: 200}}
	},
		atMost("another takes over past the end of the lease, ms", 50, func(r *Result) float64 { return millis(r.Takeovers.Max) }),
		Bar{Name: "killed with a lease", Measure: func(r *Result) float64 { return float64(r.Kills) }, Least: 100, Most: math.Inf(1)},
		longest(2*sec), // no key is wedged; a few in a row may be killed with one
	)
}

func holed() *Scenario {
	return like("black-holed", "As steady, and Redis accepts and never answers for 4 s. The store timeout is 200 ms.", func(s *Scenario) {
		s.Proxy, s.StoreTimeout, s.Recovery, s.Settle = true, 200*msec, 2*sec, 1500*msec
		s.Faults = []Fault{{Kind: ProxyHole, At: 2 * sec, For: 4 * sec}}
	},
		undoubled,
		ancient(150*msec), // a fetch, on a machine that is busy
		atMost("reads past what the fetch took, at first, ms", 420, func(r *Result) float64 { return millis(r.Failing.Max) }),
		atMost("reads past what the fetch took, later, ms, p99", 5, func(r *Result) float64 { return millis(r.Broken.P99) }),
	)
}

func restarted() *Scenario {
	return like("restarted", "As steady, and Redis is killed, and started again empty after 300 ms, three times.", func(s *Scenario) {
		s.Recovery, s.StoreTimeout = 2*sec, 300*msec
		s.Faults = []Fault{{Kind: KillRedis, At: sec, Every: 3 * sec, For: 300 * msec}}
	}, longest(2*sec), undoubled, ancient(150*msec))
}

func promoted() *Scenario {
	return like("promoted", "As steady, and Redis fails; its replica is promoted, which has not heard of the Deletes of the last 300 ms.", func(s *Scenario) {
		s.Proxy, s.Replica, s.Recovery, s.StoreTimeout = true, true, 2*sec, 300*msec
		s.Faults = []Fault{{Kind: Promote, At: 3 * sec, For: 300 * msec}}
	}, longest(2*sec))
}

func network() *Scenario {
	return like("network", "As steady, through a network that is slow for a time, and cuts all connections now and then.", func(s *Scenario) {
		s.Proxy, s.Recovery, s.StoreTimeout = true, 500*msec, 300*msec
		s.Faults = []Fault{
			{Kind: ProxyDelay, At: sec, Every: 2 * sec, For: sec, Size: 10},
			{Kind: ProxyCut, At: 1500 * msec, Every: 1700 * msec},
		}
	}, longest(2*sec))
}

func nuisances() *Scenario {
	return like("nuisances", "As steady, with CLIENT PAUSE 300, SCRIPT FLUSH, FLUSHALL, and subscriptions killed, each every second or so.", func(s *Scenario) {
		s.Faults = []Fault{
			{Kind: ClientPause, At: 500 * msec, Every: 1300 * msec, For: 300 * msec},
			{Kind: ScriptFlush, At: 600 * msec, Every: 700 * msec},
			{Kind: FlushAll, At: 700 * msec, Every: 900 * msec},
			{Kind: KillPubSub, At: 800 * msec, Every: 800 * msec},
		}
	}, longest(2*sec))
}

func evicting() *Scenario {
	return like("evicting", "As steady, in a Redis of 8 MB that evicts any key, filled up all the time.", func(s *Scenario) {
		s.RedisArgs = []string{"--maxmemory", "8mb", "--maxmemory-policy", "allkeys-random"}
		s.Faults = []Fault{{Kind: Evict, At: 200 * msec, Every: 50 * msec, Size: 200}}
	})
}

// memory is steady with memory in front of the store: a Delete is heard of by others a moment after it was acknowledged.
func memory() *Scenario {
	return inMemory("memory", "As steady, with memory in front of the store.", 50*msec, func(*Scenario) {})
}

func memoryCut() *Scenario {
	return inMemory("memory-cut", "The same, with subscriptions killed and connections cut.", 2*sec, func(s *Scenario) {
		s.Proxy, s.Memory, s.Recovery, s.StoreTimeout = true, 5*sec, 500*msec, 300*msec
		s.Faults = []Fault{
			{Kind: KillPubSub, At: 500 * msec, Every: 700 * msec},
			{Kind: ProxyCut, At: sec, Every: 1700 * msec},
		}
	})
}

// inMemory allows reads that are stale, but not by more than oldest, and not of what the same process has deleted.
func inMemory(name, about string, oldest time.Duration, change func(*Scenario)) *Scenario {
	s := like(name, about, change)
	s.Modes = []string{"zodiac-memory"}
	s.Bars = append([]Bar{
		atMost("the oldest stale read, ms", millis(oldest), func(r *Result) float64 { return millis(r.Oldest) }),
		exactly("stale reads of the process that had deleted", 0, func(r *Result) float64 { return float64(r.Own) }),
	}, always[1:]...)
	return s
}
