package flight

import "sync"

// A Link is a flight within whose function a caller runs: what the function's context carries. nil means within none.
type Link struct {
	Flight any // a *Flight, of any Group
}

// graph says which flights cannot end before which others: a function waits for the flights it asks for, and a forced flight
// that has not started for the one that runs. It spans all Groups, since functions ask other loaders. It is used only by
// callers within a function and for waiting flights, so most misses never come here.
var graph = struct {
	sync.Mutex // guards the field below; taken after a shard's
	on         map[any][]any
}{on: make(map[any][]any)}

// wait notes that the function the caller runs in waits for f. It returns false, and notes nothing, if f waits for that
// function, directly or through others.
func (l *Link) wait(f any) bool {
	if l == nil {
		return true
	}
	graph.Lock()
	defer graph.Unlock()
	if reaches(f, l.Flight) {
		return false
	}
	graph.on[l.Flight] = append(graph.on[l.Flight], f)
	return true
}

// waitBehind is wait for a new flight f that starts when forced has ended.
func (l *Link) waitBehind(f, forced any) bool {
	graph.Lock()
	defer graph.Unlock()
	if l != nil {
		if reaches(forced, l.Flight) {
			return false
		}
		graph.on[l.Flight] = append(graph.on[l.Flight], f)
	}
	graph.on[f] = append(graph.on[f], forced)
	return true
}

// Waited takes back what Join noted for this caller's wait for f.
func (l *Link) Waited(f any) {
	if l != nil {
		forget(l.Flight, f)
	}
}

// forget takes back one wait.
func forget(who, f any) {
	graph.Lock()
	defer graph.Unlock()
	on := graph.on[who]
	for i, g := range on {
		if g == f {
			on[i] = on[len(on)-1]
			on[len(on)-1] = nil
			on = on[:len(on)-1]
			break
		}
	}
	if len(on) == 0 {
		delete(graph.on, who)
		return
	}
	graph.on[who] = on
}

// reaches reports whether flight f is, or waits for, the flight to. It has no cycles.
func reaches(f, to any) bool {
	if f == to {
		return true
	}
	for _, g := range graph.on[f] {
		if reaches(g, to) {
			return true
		}
	}
	return false
}
