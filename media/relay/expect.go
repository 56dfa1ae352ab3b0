package relay

// With a thousand legs, what a packet needs is in no near cache, and each miss costs as much as half an HMAC. Reading it for several
// packets at a time, before the first is served, lets the misses overlap. Each step reads what the one before has found, one field in
// each cache line (64 bytes) that the packet will need; sums of what was read are kept only so that it is read. A line that is missing
// here costs a packet 1 % or so, and the profile shows it: a plain move that takes long.

// Expect reads what the next packet will need.
func (p rtpPort) Expect(step int) {
	l := p.leg
	r := l.route.Load()
	if r == nil {
		return
	}
	switch step {
	case 0:
		l.w.expected += l.media.turn + l.rx.SSRC() + uint32(l.count.rxPackets.Load())
	case 1:
		l.w.expected += r.link + r.from.turn + uint32(r.from.event.Type) + r.to.turn + uint32(r.to.event.Type)
	default:
		out := r.leg
		if out == nil {
			return
		}
		n := out.media.turn + uint32(out.count.txPackets.Load()) + uint32(out.rtp.Expect())
		if !r.verbatim {
			n += out.tx.ssrc + out.tx.source.ssrc
		}
		if o := r.from.recv; o != nil {
			n += uint32(o.Expect(!r.verbatim))
		}
		if s := r.to.send; s != nil {
			n += uint32(s.Expect())
		}
		l.w.expected += n
	}
}

// Expect does nothing: RTCP is rare.
func (p rtcpPort) Expect(int) {}
