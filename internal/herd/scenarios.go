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

// ours and baselines are the modes of most scenarios. Ours comes first: the bars apply to it.
var (
	ours      = []string{"zodiac"}
	baselines = []string{"none", "flight", "redsync"}
)

// Bars of more than one scenario.
var (
	noStale      = exactly("stale reads", 0, func(r *Result) float64 { return float64(r.Stale) })
	noExpired    = exactly("expired reads", 0, func(r *Result) float64 { return float64(r.Expired) })
	noErrors     = exactly("failed reads", 0, func(r *Result) float64 { return float64(r.Errors) })
	noGoroutines = exactly("goroutines left behind", 0, func(r *Result) float64 {
		return float64(r.Goroutines)
	})
	someReads = atLeast("reads", 1000, func(r *Result) float64 { return float64(r.Reads) })
	always    = []Bar{noStale, noExpired, noErrors, noGoroutines, someReads}
)

func atMost(name string, most float64, measure func(*Result) float64) Bar {
	return Bar{Name: name, Measure: measure, Most: most}
}

func atLeast(name string, least float64, measure func(*Result) float64) Bar {
	return Bar{Name: name, Measure: measure, Least: least, Most: math.Inf(1)}
}

func exactly(name string, n float64, measure func(*Result) float64) Bar {
	return Bar{Name: name, Measure: measure, Least: n, Most: n}
}

// undoubled requires that a process never fetches a key twice at the same time, even while it does
// without the store.
var undoubled = exactly("fetches of a key that the same process was already fetching", 0,
	func(r *Result) float64 { return float64(r.Doubled) })

// ancient limits the age of stale reads that an outage excuses. Their values were fetched before
// the worker knew that the outage was over.
func ancient(d time.Duration) Bar {
	return atMost("the oldest excused read, ms", millis(d),
		func(r *Result) float64 { return millis(r.Ancient) })
}

// longest limits how long a read of a worker that is not stopped may take.
func longest(d time.Duration) Bar {
	return atMost("the slowest read, ms", millis(d),
		func(r *Result) float64 { return millis(r.Longest) })
}

// Scenarios returns the scenarios that make herd runs.
func Scenarios() []*Scenario {
	return []*Scenario{
		cold(), coldPolling(), steady(), expiring(), frozen(), frozenLonger(), frozenOften(),
		refreshes(), killed(), holed(), restarted(), promoted(), network(), nuisances(), evicting(),
		memory(), memoryCut(),
	}
}

// cold is a crowd of callers that ask for one key which is not cached.
func cold() *Scenario {
	return &Scenario{
		Name: "cold",
		About: "8 processes with 125 callers each ask for one key at once. The key is not cached, and " +
			"its fetch takes 20 ms. 20 rounds.",
		Modes: slices.Concat(ours, baselines), Workers: 8, Callers: 125,
		Rounds: 500 * msec, Duration: 10 * sec, Fetch: [2]time.Duration{20 * msec, 20 * msec},
		Bars: append([]Bar{
			exactly("the most fetches of one key", 1,
				func(r *Result) float64 { return float64(r.MostPerKey) }),
			atMost("the last caller past the fetch, ms, median of the rounds", 5,
				func(r *Result) float64 { return millis(r.Last.P50) }),
		}, always...),
	}
}

// coldPolling is cold with waiters that poll, because Redis cannot wake them.
func coldPolling() *Scenario {
	s := cold()
	s.Name, s.About = "cold-polling", "As cold, but Redis refuses to publish and to subscribe."
	s.Modes, s.NoPubSub = ours, true
	s.Bars = append([]Bar{
		s.Bars[0],
		atMost("the last caller past the fetch, ms, worst of the rounds", 60,
			func(r *Result) float64 { return millis(r.Last.Max) }),
	}, always...)
	return s
}

// steady is a herd that reads keys which are invalidated over and over.
func steady() *Scenario {
	return &Scenario{
		Name: "steady",
		About: "8 processes with 32 callers each read 10 keys. Each key is written and deleted every " +
			"150 ms. The origin takes 40 to 60 ms and returns the row as it was when the read began.",
		Modes: slices.Concat(ours, baselines), Workers: 8, Callers: 32, Keys: 10, Duration: 10 * sec,
		Fetch: [2]time.Duration{40 * msec, 60 * msec}, Think: [2]time.Duration{20 * msec, 40 * msec},
		Invalidate: 150 * msec,
		Bars: append([]Bar{
			atMost("origin calls in the busiest second, as a multiple of the floor's", 1.1,
				func(r *Result) float64 { return float64(r.PeakFetches) / float64(r.PeakFloor) }),
			atMost("reads p99, ms", 75, func(r *Result) float64 { return millis(r.Latency.P99) }),
		}, always...),
	}
}

// like returns steady with a change, for zodiac only. Its bars replace those of steady.
func like(name, about string, change func(*Scenario), bars ...Bar) *Scenario {
	s := steady()
	s.Name, s.About, s.Modes = name, about, ours
	s.Bars = append(bars, always...)
	change(s)
	return s
}

func expiring() *Scenario {
	about := "As steady, but keys are not invalidated. They expire after 200 ms, and workers " +
		"are stopped for 300 ms at a time."
	return like("expiring", about, func(s *Scenario) {
		s.Invalidate, s.TTL = 0, 200*msec
		s.Faults = []Fault{{Kind: FreezeWorker, At: 500 * msec, Every: 500 * msec, For: 300 * msec}}
	})
}

func frozen() *Scenario {
	about := "As steady, and workers are stopped for 900 ms at a time, most of them while " +
		"they fetch. A lease lasts 500 ms."
	return like("frozen", about, func(s *Scenario) {
		s.Lease = 500 * msec
		s.Faults = []Fault{
			{Kind: FreezeFetching, At: 300 * msec, Every: 300 * msec, For: 900 * msec},
			{Kind: FreezeFetching, At: 700 * msec, Every: 300 * msec, For: 900 * msec},
			{Kind: FreezeWorker, At: sec, Every: 1500 * msec, For: 900 * msec},
		}
		// The limit covers a lease, a second lease if its holder is stopped too, and a fetch.
	}, longest(1200*msec))
}

// frozenLonger stops workers for longer than they wait for Redis. Redis has answered meanwhile, but
// a worker that continues may conclude that it did not.
func frozenLonger() *Scenario {
	s := frozen()
	s.Name = "frozen-longer"
	s.About = "As frozen, with a store timeout of 300 ms, which has passed when a worker continues."
	s.StoreTimeout = 300 * msec
	return s
}

// frozenOften stops workers as often as it can, so that as much as possible happens between any two
// steps of a worker.
func frozenOften() *Scenario {
	about := "As steady, with 4 keys, which are fetched in 15 to 30 ms and deleted every " +
		"80 ms. A lease lasts 100 ms, and workers are stopped for 150 ms over and over."
	return like("frozen-often", about, func(s *Scenario) {
		s.Keys, s.Fetch = 4, [2]time.Duration{15 * msec, 30 * msec}
		s.Invalidate, s.Lease = 80*msec, 100*msec
		for i := range 4 {
			first := time.Duration(300+50*i) * msec
			s.Faults = append(s.Faults,
				Fault{Kind: FreezeFetching, At: first, Every: 100 * msec, For: 150 * msec})
		}
	})
}

// refreshes has forced fetches among the reads, and keys that go in every way. Fetches take from 5 to
// 80 ms, so that one that began later often has read the row earlier.
func refreshes() *Scenario {
	s := frozenOften()
	s.Name = "refreshes"
	s.About = "As frozen-often, but the origin looks at the row at the end of a read; one in 8 reads is a " +
		"Refresh, one in 256 a DEL, DeleteTags or Clear, and every second write is followed by a Refresh."
	s.Refreshes, s.Prompt, s.Fetch = 8, true, [2]time.Duration{5 * msec, 80 * msec}
	s.Bars = append([]Bar{exactly("reads older than what a Refresh had returned", 0,
		func(r *Result) float64 { return float64(r.Older) })}, s.Bars...)
	return s
}

func killed() *Scenario {
	about := "As steady, and a worker that fetches is killed at a random instant, 200 times. " +
		"A lease lasts 300 ms. Keys are deleted every 800 ms."
	return like("killed", about, func(s *Scenario) {
		s.Lease, s.Invalidate, s.Duration = 300*msec, 800*msec, 45*sec
		s.Faults = []Fault{{Kind: KillFetching, At: 300 * msec, Every: 150 * msec, Times: 200}}
	},
		atMost("the next fetch after the end of a killed worker's lease, ms", 50,
			func(r *Result) float64 { return millis(r.Takeovers.Max) }),
		atLeast("workers killed while they held a lease", 100,
			func(r *Result) float64 { return float64(r.Kills) }),
		// No key is blocked for good. Several holders of one key may be killed in a row.
		longest(2*sec),
	)
}

func holed() *Scenario {
	about := "As steady, but Redis accepts commands and does not answer for 4 s. The store " +
		"timeout is 200 ms."
	return like("black-holed", about, func(s *Scenario) {
		s.Proxy, s.StoreTimeout, s.Recovery, s.GiveUp = true, 200*msec, 2*sec, 1500*msec
		s.Faults = []Fault{{Kind: ProxyHole, At: 2 * sec, For: 4 * sec}}
	},
		undoubled,
		ancient(150*msec), // a fetch, on a busy machine
		atMost("the slowest read less the time of its fetch, while workers try Redis, ms", 420,
			func(r *Result) float64 { return millis(r.Failing.Max) }),
		atMost("reads less the time of their fetch, when workers have given up on Redis, ms, p99", 5,
			func(r *Result) float64 { return millis(r.Broken.P99) }),
	)
}

func restarted() *Scenario {
	about := "As steady, but Redis is killed three times, and started again, empty, after " +
		"300 ms."
	return like("restarted", about, func(s *Scenario) {
		s.Recovery, s.StoreTimeout = 2*sec, 300*msec
		s.Faults = []Fault{{Kind: KillRedis, At: sec, Every: 3 * sec, For: 300 * msec}}
	}, longest(2*sec), undoubled, ancient(150*msec))
}

func promoted() *Scenario {
	about := "As steady, but Redis fails and its replica is promoted. The replica has not " +
		"received the Deletes of the last 300 ms."
	return like("promoted", about, func(s *Scenario) {
		s.Proxy, s.Replica, s.Recovery, s.StoreTimeout = true, true, 2*sec, 300*msec
		s.Faults = []Fault{{Kind: Promote, At: 3 * sec, For: 300 * msec}}
	}, longest(2*sec))
}

func network() *Scenario {
	about := "As steady, over a network that is slow for a second at a time and cuts all " +
		"connections now and then."
	return like("network", about, func(s *Scenario) {
		s.Proxy, s.Recovery, s.StoreTimeout = true, 500*msec, 300*msec
		s.Faults = []Fault{
			{Kind: ProxyDelay, At: sec, Every: 2 * sec, For: sec, Size: 10},
			{Kind: ProxyCut, At: 1500 * msec, Every: 1700 * msec},
		}
	}, longest(2*sec))
}

func nuisances() *Scenario {
	about := "As steady, with CLIENT PAUSE 300, SCRIPT FLUSH, FLUSHALL and killed " +
		"subscriptions, each about once a second."
	return like("nuisances", about, func(s *Scenario) {
		s.Faults = []Fault{
			{Kind: ClientPause, At: 500 * msec, Every: 1300 * msec, For: 300 * msec},
			{Kind: ScriptFlush, At: 600 * msec, Every: 700 * msec},
			{Kind: FlushAll, At: 700 * msec, Every: 900 * msec},
			{Kind: KillPubSub, At: 800 * msec, Every: 800 * msec},
		}
	}, longest(2*sec))
}

func evicting() *Scenario {
	about := "As steady, in a Redis of 8 MB that evicts any key and is filled up all the " +
		"time."
	return like("evicting", about, func(s *Scenario) {
		s.RedisArgs = []string{"--maxmemory", "8mb", "--maxmemory-policy", "allkeys-random"}
		s.Faults = []Fault{{Kind: Evict, At: 200 * msec, Every: 50 * msec, Size: 200}}
	})
}

// memory is steady with memory in front of the store. The other processes receive an invalidation
// a moment after the Delete was acknowledged, so their reads may be stale for that long.
func memory() *Scenario {
	return inMemory("memory", "As steady, with memory in front of the store.", 50*msec, func(*Scenario) {})
}

func memoryCut() *Scenario {
	about := "As memory, with subscriptions killed and connections cut."
	return inMemory("memory-cut", about, 2*sec, func(s *Scenario) {
		s.Proxy, s.Memory, s.Recovery, s.StoreTimeout = true, 5*sec, 500*msec, 300*msec
		s.Faults = []Fault{
			{Kind: KillPubSub, At: 500 * msec, Every: 700 * msec},
			{Kind: ProxyCut, At: sec, Every: 1700 * msec},
		}
	})
}

// inMemory allows stale reads, if they are no older than oldest. The process that called Delete may
// have none.
func inMemory(name, about string, oldest time.Duration, change func(*Scenario)) *Scenario {
	s := like(name, about, change)
	s.Modes = []string{"zodiac-memory"}
	s.Bars = append([]Bar{
		atMost("the oldest stale read, ms", millis(oldest),
			func(r *Result) float64 { return millis(r.Oldest) }),
		exactly("stale reads of the process that had called Delete", 0,
			func(r *Result) float64 { return float64(r.Own) }),
	}, always[1:]...)
	return s
}
