package rtp

import "time"

// Limits of RFC 3550 A.1: how far a sequence number may jump before the stream counts as restarted.
const (
	MaxDropout  = 3000
	MaxMisorder = 1000
)

// Reception counts what arrived of one leg's stream: losses (RFC 3550 A.3) and jitter (A.8). The zero value is ready. A new SSRC, or a
// jump that no network makes, starts a new stretch; the losses of earlier stretches stay in the sum.
type Reception struct {
	ssrc     uint32
	started  bool
	base     uint32 // extended sequence number of the first packet
	highest  uint32 // extended
	received uint32 // in this stretch
	earlier  uint64 // lost in earlier stretches
	transit  int64  // of the last packet, in clock units
	timed    bool   // transit is valid
	jitter   int64  // 16 times the estimate, in clock units
	clock    uint32 // of jitter
}

// Jitter is an interarrival jitter in one word, as it was counted: clock units, and above 32 bits the clock in Hz. To make a time of it
// takes a division, which is for those who ask and not for each packet.
type Jitter uint64

// Duration is the jitter as a time.
func (j Jitter) Duration() time.Duration {
	if j>>32 == 0 {
		return 0
	}
	return time.Duration(uint32(j)) * time.Second / time.Duration(j>>32)
}

// Packet counts a packet that arrived at now (any steady clock). A clock of 0 Hz leaves the jitter alone, as for events, whose
// timestamps stand still.
func (r *Reception) Packet(h *Header, clock uint32, now time.Duration) {
	d := int16(h.Sequence - uint16(r.highest))
	switch {
	case !r.started || h.SSRC != r.ssrc || d > MaxDropout || d < -MaxMisorder:
		r.earlier = r.Lost()
		r.started, r.ssrc, r.timed = true, h.SSRC, false
		r.base = 1<<16 | uint32(h.Sequence) // one cycle up, so that a packet before the first has a number too
		r.highest = r.base
		r.received = 0
	case d > 0:
		r.highest += uint32(d)
	}
	r.received++
	if clock == 0 {
		return
	}
	// Seconds and their remainder apart: the product must not overflow after days.
	arrival := int64(now/time.Second)*int64(clock) + int64(now%time.Second)*int64(clock)/int64(time.Second)
	transit := int64(int32(uint32(arrival) - h.Timestamp))
	if r.timed && r.clock == clock {
		diff := int64(int32(transit - r.transit))
		if diff < 0 {
			diff = -diff
		}
		if diff < 10*int64(clock) { // a time line that jumped is not jitter
			r.jitter += diff - (r.jitter+8)>>4
		}
	} else if r.clock != clock {
		r.jitter = 0
	}
	r.transit, r.timed, r.clock = transit, true, clock
}

// SSRC is the stream that is arriving; 0 if none is.
func (r *Reception) SSRC() uint32 { return r.ssrc }

// Lost is the number of packets that never came. Duplicates and late packets can make up for losses, but never below zero.
func (r *Reception) Lost() uint64 {
	if !r.started {
		return r.earlier
	}
	expected := int64(r.highest-r.base) + 1
	return r.earlier + uint64(max(expected-int64(r.received), 0))
}

// Jitter is the interarrival jitter.
func (r *Reception) Jitter() Jitter {
	return Jitter(r.clock)<<32 | Jitter(min(r.jitter>>4, 1<<32-1))
}

// Extend gives the 32-bit extended sequence number (RFC 3550 §6.4.1) whose low half is seq and which lies nearest to the highest
// received of ssrc; false when ssrc is not the stream that is arriving.
func (r *Reception) Extend(ssrc uint32, seq uint16) (uint32, bool) {
	if !r.started || ssrc != r.ssrc {
		return 0, false
	}
	ext := r.highest + uint32(int32(int16(seq-uint16(r.highest))))
	return ext - 1<<16, true
}
