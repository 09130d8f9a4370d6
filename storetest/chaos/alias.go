package chaos

// These names go when the tests that use them have moved to Bus and Publish.
const (
	Announcer = Bus
	Announce  = Publish
)
