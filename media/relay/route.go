package relay

import (
	"net/netip"

	"holdfast/media/srtp"
)

// endpoint is one leg's Stream, compiled. It is immutable; only the worker touches what the crypto contexts keep.
type endpoint struct {
	recv         *srtp.Opener // nil: plain
	prev         *srtp.Opener // the key before recv, for packets on their way; nil: none
	send         *srtp.Sealer // nil: plain, or shared
	turn         uint32       // grows when remote changes: latches start over
	mux          bool
	fixed        bool // no latching: plain RTP, or an address that is configured
	toPeer       bool
	stood        standing
	shared       bool // what the peer opens, somebody else seals: the box must not
	cn           bool
	heard        [2]uint8 // payload types of audio and event in what the peer sends
	audio, event Payload
	remote       netip.AddrPort
	remoteRTCP   netip.AddrPort
	codec        string // of audio, as in a=rtpmap; empty: not known

	// What the outgoing stream is called if it must begin anew under send.
	ssrc     uint32
	sequence uint16
	stamp    uint32 // where the time line begins, if it has not begun
}

// Route is what becomes of one leg's packets: a plain description without behaviour of its own. It is immutable and swapped whole. It
// holds copies, because each pointer that a packet has to follow costs a wait for memory.
type Route struct {
	leg      *Leg   // whose peer hears it; nil: nobody
	link     uint32 // grows with every Connect
	verbatim bool   // from's packets go on as they are, once verified
	play     *play  // what the box itself sends to from's peer; nil: nothing
	cover    *play  // what it sends to to's peer, which hides from's audio; nil: nothing
	from     endpoint
	to       endpoint // leg's
}

// comfortNoise is the static payload type of RFC 3389.
const comfortNoise = 13

// kind is what a payload type means.
type kind uint8

const (
	unknown kind = iota
	audio
	noise
	event
)

// kindOf tells what a payload type that came from e's peer means.
func (e *endpoint) kindOf(payloadType uint8) kind {
	switch {
	case payloadType == e.heard[0]:
		return audio
	case e.event.Clock != 0 && payloadType == e.heard[1]:
		return event
	case e.cn && payloadType == comfortNoise:
		return noise
	}
	return unknown
}

// translate gives the payload type that a kind has at the other end; false if it has none. Audio never changes its clock: nothing is
// transcoded, so that unlike clocks mean unlike codecs.
func (r *Route) translate(k kind) (uint8, bool) {
	if r.from.audio.Clock != r.to.audio.Clock {
		return 0, false
	}
	switch k {
	case audio:
		return r.to.audio.Type, true
	case noise:
		return comfortNoise, r.to.cn
	case event:
		return r.to.event.Type, r.to.event.Clock != 0
	}
	return 0, false
}

// clockOf is the clock for jitter: events stand still in time, and what is unknown says nothing.
func (e *endpoint) clockOf(k kind) uint32 {
	if k == audio {
		return e.audio.Clock
	}
	return 0
}
