package relay

import (
	"net/netip"
	"time"
)

// relatch is how long a latched address must have been silent before another may take its place.
const relatch = 5 * time.Second

// latch is where one leg's peer really is, for RTP or for RTCP. It begins with the address that was negotiated. A packet that
// authenticated may move it, once; after that only when the address in force has been silent. It is the worker's.
type latch struct {
	turn  uint32         // of the endpoint that set at
	at    netip.AddrPort // where to send; what may speak
	moved bool
	heard time.Duration // last packet from at
}

// follow starts over when signalling has named another address.
func (k *latch) follow(turn uint32, at netip.AddrPort) {
	if turn > k.turn {
		*k = latch{turn: turn, at: at}
	}
}

// admits says, before any cryptography, whether a packet from this address could be accepted at all. It changes nothing.
func (k *latch) admits(e *endpoint, from netip.AddrPort, now time.Duration) bool {
	if e.fixed {
		return from.Addr() == k.at.Addr()
	}
	return from == k.at || !k.moved || now-k.heard >= relatch
}

// authenticated takes note of an admitted packet that was authentic, and moves if it came from elsewhere.
func (k *latch) authenticated(e *endpoint, from netip.AddrPort, now time.Duration) {
	if from != k.at && !e.fixed {
		k.at, k.moved = from, true
	}
	k.heard = now
}
