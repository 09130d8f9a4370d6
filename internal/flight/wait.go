package flight

import "sync"

// A Link is a flight within whose function a caller runs: what the function's context carries. nil means within none.
type Link struct {
	Flight Node  // a *Flight, of any Group
	Up     *Link // the flight within whose function that one began, or nil
}

// A Node is a *Flight, whatever its types.
type Node interface {
	isOver() bool
	isFor(shard, key any) bool
}

func (f *Flight[K, J]) isFor(shard, key any) bool { return any(f.shard) == shard && any(f.Key) == key }

func (f *Flight[K, J]) isOver() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// graph says which flights cannot end before which others: a function waits for the flights it asks for, and a forced flight
// that has not started for the one that runs. It spans all Groups, since functions ask other loaders. It is used only by
// callers within a function and for waiting flights, so most misses never come here.
var graph = struct {
	sync.Mutex // guards the field below; taken after a shard's
	on         map[Node][]Node
}{on: make(map[Node][]Node)}

// wait notes that the function the caller runs in waits for f. It returns false, and notes nothing, if f waits for that
// function, directly or through others.
func (l *Link) wait(f Node) bool {
	if l == nil {
		return true
	}
	graph.Lock()
	defer graph.Unlock()
	if leads(f, l.Flight, nil) {
		return false
	}
	graph.on[l.Flight] = append(graph.on[l.Flight], f)
	return true
}

// isFor reports whether the caller runs in a flight of the key, at any depth.
func (l *Link) isFor(shard, key any) bool {
	for ; l != nil; l = l.Up {
		if l.Flight.isFor(shard, key) {
			return true
		}
	}
	return false
}

// waitBehind is wait for a new flight f that starts when forced has ended.
func (l *Link) waitBehind(f, forced Node) bool {
	graph.Lock()
	defer graph.Unlock()
	if l != nil {
		if leads(forced, l.Flight, nil) {
			return false
		}
		graph.on[l.Flight] = append(graph.on[l.Flight], f)
	}
	graph.on[f] = append(graph.on[f], forced)
	return true
}

// Waited takes back what Join noted for this caller's wait for f.
func (l *Link) Waited(f Node) {
	if l != nil {
		forget(l.Flight, f)
	}
}

// forget takes back one wait.
func forget(who, f Node) {
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

// leads reports whether f is, or waits for, the flight to. seen are flights that do not. One that is over waits for nothing,
// though its function may, for nobody.
func leads(f, to Node, seen map[Node]bool) bool {
	if f == to {
		return true
	}
	on := graph.on[f]
	if len(on) == 0 || f.isOver() || seen[f] {
		return false
	}
	if seen == nil {
		seen = make(map[Node]bool)
	}
	seen[f] = true
	for _, g := range on {
		if leads(g, to, seen) {
			return true
		}
	}
	return false
}
