package box

import "runtime/debug"

// A rush of phones leaves garbage behind that the collector would keep as room for the next one: as much again as what is
// in use. On a small board that room is better given back once the rush is over.

// rushSize is how many connections make a rush worth clearing up after; rushOver how many in a second still are one.
const (
	rushSize = 200
	rushOver = 20
)

// afterRush watches the number of connections ever accepted.
type afterRush struct{ cleared, last uint64 }

// due is asked once a second: is a rush just over?
func (a *afterRush) due(accepted uint64) bool {
	rate := accepted - a.last
	a.last = accepted
	if accepted-a.cleared < rushSize || rate > rushOver {
		return false
	}
	a.cleared = accepted
	return true
}

// clear gives memory back; it takes some ten milliseconds of one processor, and calls go on meanwhile.
func (a *afterRush) clear() { debug.FreeOSMemory() }
