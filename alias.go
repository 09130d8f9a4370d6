package zodiac

import "github.com/zodiac-go/zodiac/driver"

// These names go when the code that uses them has moved to internal/remote.
type (
	Record       = driver.Record
	Leaser       = driver.Leaser
	Ask          = driver.Ask
	Claim        = driver.Claim
	ClaimState   = driver.ClaimState
	Batcher      = driver.Batcher
	DataReader   = driver.DataReader
	Waker        = driver.Waker
	Announcer    = driver.Bus
	Announcement = driver.Invalidation
	Held         = driver.Held
)

const (
	Won  = driver.Won
	Busy = driver.Busy
	Hit  = driver.Hit
)
