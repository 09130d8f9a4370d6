package herd

import "time"

// A Scenario is a herd and what happens to it. It is data: children get it as JSON.
type Scenario struct {
	Name  string
	About string

	Modes    []string // what is run; the first is what the Bars judge
	Workers  int      // processes
	Callers  int      // goroutines of each
	Keys     int
	Duration time.Duration

	Fetch  [2]time.Duration // a read of the origin takes from the first to the second
	Prompt bool             // the origin looks at the row when a call ends, not, which is harder, when it begins

	// Rounds are what the callers do if it is not 0: every so often, all at once ask for a key that nobody has asked for.
	Rounds time.Duration

	// Think is what a caller does otherwise: it asks for one of Keys and waits from the first to the second.
	Think [2]time.Duration

	Invalidate time.Duration // each key is written and deleted this often; 0 = never

	TTL          time.Duration // 0 = a minute
	Lease        time.Duration // 0 = 2 s
	StoreTimeout time.Duration // 0 = 1 s
	Memory       time.Duration // of mode memory: how long an entry may live there; 0 = a second

	RedisArgs []string
	NoPubSub  bool // Redis refuses to publish and to subscribe
	Proxy     bool // workers reach Redis through one
	Replica   bool // there is one, for promotion

	Faults []Fault

	// Recovery is how long after an Outage reads may be as old as during it: workers that have not noticed yet go on serving
	// themselves.
	Recovery time.Duration

	// Settle is how long after the beginning of an Outage workers may take to stop trying.
	Settle time.Duration

	Bars []Bar `json:"-"`
}

// A Bar is what a run is judged by.
type Bar struct {
	Name    string
	Measure func(*Result) float64
	Least   float64
	Most    float64
}

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
