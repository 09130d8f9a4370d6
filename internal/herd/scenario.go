package herd

import "time"

// A Scenario describes a herd and what happens to it. It is data: children receive it as JSON.
type Scenario struct {
	Name  string
	About string // a description for the report

	Modes    []string      // the modes to run it in; Bars apply to the first
	Workers  int           // worker processes
	Callers  int           // goroutines of each worker that read keys
	Keys     int           // the keys are 0 to Keys-1, unless there are Rounds
	Duration time.Duration // of the run

	Fetch [2]time.Duration // a read of the origin takes from the first to the second

	// Prompt makes the origin look at the row at the end of a read. Otherwise it looks at the
	// start. That is harder for a cache, because the row may change during the read.
	Prompt bool

	// Rounds, if it is not 0, is the time between rounds. In each round all callers ask at once
	// for the same key, which nobody has asked for before.
	Rounds time.Duration

	// Think is used if Rounds is 0. Each caller asks for a random key, waits from the first to
	// the second, and repeats.
	Think [2]time.Duration

	Invalidate time.Duration // each key is written and deleted this often; 0 = never

	// Refreshes, if it is not 0, makes one in so many reads a Refresh. A 32nd of that number of calls
	// remove keys, by Clear, DeleteTags and a foreign DEL.
	Refreshes uint32

	TTL          time.Duration // 0 = a minute
	Lease        time.Duration // 0 = 2 s
	StoreTimeout time.Duration // 0 = 1 s
	Memory       time.Duration // for mode zodiac-memory: the longest life of an entry in memory; 0 = 1 s

	RedisArgs []string // further arguments of redis-server
	NoPubSub  bool     // Redis refuses to publish and to subscribe
	Proxy     bool     // workers and the invalidator reach Redis through a proxy
	Replica   bool     // Redis has a replica, which the fault Promote needs

	Faults []Fault

	// Recovery is how long after the end of a Loss stale reads are still excused. Workers that
	// have not noticed the end of an Outage yet go on without the store.
	Recovery time.Duration

	// GiveUp is how long after the start of an Outage workers may still try to reach the store.
	GiveUp time.Duration

	Bars []Bar `json:"-"`
}

// A Bar is a condition on a Result: Measure returns at least Least and at most Most.
type Bar struct {
	Name    string
	Measure func(*Result) float64
	Least   float64
	Most    float64
}

// or returns d, or otherwise if d is 0.
func or(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

func (s *Scenario) ttl() time.Duration          { return or(s.TTL, time.Minute) }
func (s *Scenario) lease() time.Duration        { return or(s.Lease, 2*time.Second) }
func (s *Scenario) storeTimeout() time.Duration { return or(s.StoreTimeout, time.Second) }
func (s *Scenario) keep() time.Duration         { return or(s.Memory, time.Second) }
