//go:build race

package properties_test

// raceEnabled says that the race detector slows the tests down threefold.
const raceEnabled = true
