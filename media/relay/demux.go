package relay

import (
	"net/netip"
	"time"

	"holdfast/media/rtp"
)

// ports of a leg, as receivers of its sockets.
type (
	rtpPort  struct{ leg *Leg }
	rtcpPort struct{ leg *Leg }
)

// Receive is the way of every packet on the RTP port.
func (p rtpPort) Receive(pkt []byte, from netip.AddrPort, now time.Duration) {
	l := p.leg
	r := l.route.Load()
	class := rtp.Classify(pkt)
	switch {
	case class == rtp.Other:
		l.drop(garbage)
	case r == nil:
		l.drop(early)
	case class == rtp.Control && r.from.mux:
		l.receiveControl(r, &l.media, pkt, from, now)
	default: // without RFC 5761 a second byte of 192 and more is only a payload type
		l.receiveMedia(r, pkt, from, now)
	}
}

// Receive is the way of every packet on the RTCP port. It stays open with RFC 5761 too: some peers send there all the same.
func (p rtcpPort) Receive(pkt []byte, from netip.AddrPort, now time.Duration) {
	l := p.leg
	r := l.route.Load()
	switch {
	case rtp.Classify(pkt) != rtp.Control:
		l.drop(garbage)
	case r == nil:
		l.drop(early)
	default:
		l.receiveControl(r, &l.control, pkt, from, now)
	}
}
