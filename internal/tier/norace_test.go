//go:build !race

package tier

// raceEnabled says that the race detector slows the tests down tenfold.
const raceEnabled = false
