// Package herd tests what zodiac promises to a group of processes. It runs real processes on a
// real Redis, injects faults, and checks afterwards what the processes saw.
//
// A herd consists of an origin, workers and an invalidator. The origin is a slow database. The
// workers read keys through a cache, which fetches from the origin. The invalidator writes rows of
// the origin and deletes their keys from the cache. Each of them is a process of its own.
//
// A [Scenario] describes a herd and its faults. [Run] runs a scenario in one mode. A mode is the
// cache that the workers use: zodiac, or a baseline, which is what programs do without zodiac.
// Each process writes what it does to a [Log]. When the run has ended, [Check] reads the events of
// all logs and returns a [Result]. A [Report] prints the results of a scenario and compares them
// with its bars.
//
// # What it must not know
//
// The package uses zodiac only as a program would, through the exported API. There is one
// exception: the fault [KillFetching] recognizes a lease in Redis by its key and its time to live.
// Check knows no mode: it decides by the events alone, and by the same rules for every cache.
//
// # Invariants
//
//   - All times come from [Now], a clock that all processes of the machine share.
//   - An event is in a log completely or not at all, even if its writer was killed.
//   - Only the origin changes versions of rows. The version of a key never falls. The serial of
//     a read of the origin is unique within a run.
//   - Nothing is checked while a run goes on. Check only computes, from the scenario, the events
//     and the time at which the run began.
//
// # Processes and goroutines
//
// The children of a run are the calling program, started again with orders in its environment.
// That program must call [Child] before anything else. Workers and invalidators end by themselves
// when the Duration of the scenario is over. The origin ends when Run closes its standard input.
// Run kills all children that are left before it returns. If the program itself ends or is killed,
// Linux kills its children.
//
// Run starts goroutines in the calling program: one for each child, which waits for it; one for
// each fault; those of the proxies. Run waits for the first two kinds. The goroutines of a proxy
// end soon after it is closed, which Run does before it returns. In a worker each caller is a
// goroutine, and in the origin each connection. Both processes wait for theirs.
//
// The package needs Linux, for the shared clock and the signals, and redis-server.
//
// # Where to start reading
//
// scenario.go says what a run consists of, run.go how it proceeds, and check.go what is found in
// the logs. worker.go, invalidator.go and origin.go are the three kinds of processes, cache.go and
// zodiac.go the modes.
package herd
