// Package herd proves what zodiac promises about a fleet with a fleet: an origin, workers and an invalidator that are
// processes of their own, on a real Redis, while faults happen to all of them.
//
// Every process writes what it does, and when by the machine's monotonic clock, to a [Log]. When a run is over, [Check]
// reads the logs and judges them; nothing is judged while it happens. What runs is a [Scenario], which is data, in one of
// the modes: zodiac, or one of the baselines, which are what people do without it.
//
// A program that calls [Run] must call [Child] first: the processes of the herd are that program started again. It needs
// Linux, for its clock and its signals.
package herd
