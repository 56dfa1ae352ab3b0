package trace

import (
	"net/netip"
	"slices"
	"time"
)

// ring is a row of messages in memory that is taken once. The oldest go when there is no room or no place.
type ring struct {
	data    []byte // the bytes of the messages, one after the other, round and round
	head    int    // where the next byte goes
	used    int
	entries []entry
	first   int // the oldest
	count   int
}

type entry struct {
	at            time.Time
	side          string
	out, udp      bool
	local, remote netip.AddrPort
	flow          uint64
	id            uint64 // hash of the Call-ID
	start, length int
}

func newRing(bytes int) ring {
	return ring{data: make([]byte, bytes), entries: make([]entry, max(bytes/typical, 16))}
}

// add keeps as much of the message as the ring can hold at all.
func (r *ring) add(e entry, msg []byte) {
	msg = msg[:min(len(msg), len(r.data))]
	for r.count == len(r.entries) || r.used+len(msg) > len(r.data) {
		r.used -= r.entries[r.first].length
		r.first = (r.first + 1) % len(r.entries)
		r.count--
	}
	e.start, e.length = r.head, len(msg)
	n := copy(r.data[r.head:], msg)
	copy(r.data, msg[n:])
	r.head = (r.head + len(msg)) % len(r.data)
	r.used += len(msg)
	r.entries[(r.first+r.count)%len(r.entries)] = e
	r.count++
}

// each hands out the messages, oldest first; the bytes are valid during the call.
func (r *ring) each(f func(entry, []byte)) {
	var joined []byte
	for i := range r.count {
		e := r.entries[(r.first+i)%len(r.entries)]
		if end := e.start + e.length; end <= len(r.data) {
			f(e, r.data[e.start:end])
			continue
		}
		joined = append(append(joined[:0], r.data[e.start:]...), r.data[:e.length-(len(r.data)-e.start)]...)
		f(e, joined)
	}
}

func sortByTime(list []Message) {
	slices.SortStableFunc(list, func(a, b Message) int { return a.At.Compare(b.At) })
}
