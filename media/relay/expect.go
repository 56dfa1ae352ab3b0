package relay

// With a thousand legs, what a packet needs is in no near cache, and each miss costs as much as half an HMAC. Reading it for several
// packets at a time, before the first is served, lets the misses overlap. Sums of what was read are kept only so that it is read.

// Expect reads what the next packet will need.
func (p rtpPort) Expect() {
	l := p.leg
	r := l.route.Load()
	if r == nil || r.to == nil {
		return
	}
	e, to, out := r.from, r.to, r.leg
	n := e.turn + to.turn + l.media.turn + l.rx.SSRC() + uint32(l.count.rxPackets.Load())
	n += out.tx.source.ssrc + out.tx.ssrc + out.media.turn + uint32(out.count.txPackets.Load()) + uint32(out.rtp.Expect())
	if e.recv != nil {
		n += uint32(e.recv.Expect())
	}
	if to.send != nil {
		n += uint32(to.send.Expect())
	}
	l.w.expected += n
}

// Expect does nothing: RTCP is rare.
func (p rtcpPort) Expect() {}
