//go:build !race

package flight

// raceEnabled says that the race detector slows the tests down tenfold.
const raceEnabled = false
