package trace

import (
	"bytes"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// Message is one SIP message as it was on the wire, without its secrets. What was sent is noted when it is queued.
type Message struct {
	At     time.Time
	Side   string         // of the box: access or trunk
	Out    bool           // the box sent it
	UDP    bool           // a datagram: else it came or went by TLS or TCP
	Local  netip.AddrPort // the box's address
	Remote netip.AddrPort
	Flow   uint64 // the connection's number
	Call   string // the box's ID of the call, where it is known
	Data   []byte
}

// Options of a Log; the zero value of a field means its default.
type Options struct {
	Bytes int // for messages (4 MiB); a quarter of it for registrations and keepalives. Less than 64 KiB counts as so much
	// Tap hears of every message, without its secrets, in the order in which they are kept. Data is valid during the call only;
	// it must not block.
	Tap func(Message)
}

// leastBytes lets both rings hold at least some messages.
const leastBytes = 64 << 10

// longest is what is kept of one message: an IPv4 packet holds no more.
const longest = 65535 - 28

// typical is a message's length, by which the number of places is reckoned.
const typical = 512

// Log keeps the last messages. Its methods are safe for concurrent use; Add takes some microseconds and allocates nothing.
type Log struct {
	tap  func(Message)
	seed maphash.Seed

	mu    sync.Mutex
	calls ring  // what belongs to a call
	rest  ring  // registrations, keepalives: a big branch has so many that they would push out the calls
	links links // which Call-IDs are one call
	work  []byte
}

// New makes a Log and takes its memory.
func New(o Options) *Log {
	if o.Bytes == 0 {
		o.Bytes = 4 << 20
	}
	o.Bytes = max(o.Bytes, leastBytes)
	l := &Log{tap: o.Tap, seed: maphash.MakeSeed(), links: newLinks(o.Bytes / typical / 4)}
	l.calls = newRing(o.Bytes * 3 / 4)
	l.rest = newRing(o.Bytes / 4)
	return l
}

// Add keeps a message; m.Data is copied, its secrets are not.
func (l *Log) Add(m Message) {
	if len(m.Data) > longest {
		m.Data = m.Data[:longest]
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.work = append(l.work[:0], m.Data...)
	Redact(l.work)
	m.Data = l.work
	id := callIDOf(l.work)
	m.Call = l.links.call(id)
	r := &l.calls
	if chatter(l.work) {
		r = &l.rest
	}
	r.add(entry{at: m.At, side: m.Side, out: m.Out, udp: m.UDP, local: m.Local, remote: m.Remote, flow: m.Flow, id: maphash.Bytes(l.seed, id)}, l.work)
	if l.tap != nil {
		l.tap(m)
	}
	if cap(l.work) > 16<<10 { // one huge message must not hold its room for ever
		l.work = nil
	}
}

// Link says that a Call-ID belongs to a call of the box.
func (l *Log) Link(call, callID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.links.add(call, callID)
}

// Call is what is kept of a call, oldest first: by the box's ID (all its legs) or by one Call-ID.
func (l *Log) Call(id string) []Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := l.links.ids(id)
	if len(ids) == 0 {
		ids = []string{id}
	}
	hashes := make(map[uint64]bool, len(ids))
	for _, x := range ids {
		hashes[maphash.String(l.seed, x)] = true
	}
	var out []Message
	take := func(e entry, data []byte) {
		if !hashes[e.id] {
			return
		}
		found := callIDOf(data)
		for _, x := range ids {
			if string(found) == x {
				m := e.message(data)
				m.Call = l.links.call(found)
				out = append(out, m)
				return
			}
		}
	}
	l.calls.each(take)
	l.rest.each(take)
	sortByTime(out)
	return out
}

// Stats says how much is kept.
type Stats struct {
	Messages int
	Bytes    int
	Oldest   time.Time // of a call's messages
}

// Stats is a copy.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Stats{Messages: l.calls.count + l.rest.count, Bytes: l.calls.used + l.rest.used}
	if l.calls.count > 0 {
		s.Oldest = l.calls.entries[l.calls.first].at
	}
	return s
}

// message is a copy that outlives the ring.
func (e entry) message(data []byte) Message {
	return Message{At: e.at, Side: e.side, Out: e.out, UDP: e.udp, Local: e.local, Remote: e.remote, Flow: e.flow, Data: bytes.Clone(data)}
}
