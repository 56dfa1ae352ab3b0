package relay

import (
	"net/netip"
	"time"

	"holdfast/media/rtp"
)

// receiveControl is the whole step of one RTCP packet. Reports are translated, not copied: each peer knows only the box's streams, so
// that SSRCs, sequence numbers, timestamps and counts are those of the stream that the other peer hears, and the CNAME is the box's.
// NTP times pass unchanged, so that the peers' round trip stays theirs. Whatever else the compound holds (BYE, feedback, extended
// reports, the names in SDES) speaks of streams that the other peer does not know, and ends here.
func (l *Leg) receiveControl(r *Route, k *latch, pkt []byte, from netip.AddrPort, now time.Duration) {
	e := &r.from
	at := e.remoteRTCP
	if k == &l.media {
		at = e.remote
	}
	k.follow(e.turn, at)
	if !k.admits(e, from, now) {
		l.drop(stranger)
		return
	}
	if r.verbatim {
		l.receiveSharedControl(r, k, pkt, from, now)
		return
	}
	pkt, err := l.openControl(e, pkt, now)
	if err != nil {
		l.refuse(err)
		return
	}
	in, err := rtp.ParseReport(pkt, l.tx.ssrc)
	if err != nil {
		l.drop(malformed)
		return
	}
	k.authenticated(e, from, now)
	l.heard.Store(int64(now))
	if in.About = in.About && l.tx.started; in.About {
		l.learn(in, now)
	}
	switch {
	case r.leg == nil:
		l.drop(unconnected)
	case !r.to.toPeer:
		l.drop(held)
	case r.to.shared:
		l.drop(unkeyed)
	default:
		l.forwardReport(r, in, now)
	}
}

// learn keeps what the peer reports about the stream to it.
func (l *Leg) learn(in rtp.Report, now time.Duration) {
	l.count.peerLost.Store(uint32(in.Block.FractionLost))
	if rtt := l.reports.roundTrip(in.Block, now); rtt > 0 {
		l.count.rtt.Store(int64(rtt))
	}
}

func (l *Leg) forwardReport(r *Route, in rtp.Report, now time.Duration) {
	to, peer := r.leg, &r.to
	to.tx.adopt(peer)
	out := l.translateReport(in, to)
	if out.Sender {
		to.reports.add(reported{out.Info.Middle(), now, l})
	}
	pkt := out.Append(l.w.report[:0], to.cname)
	if peer.send != nil {
		var err error
		if pkt, err = peer.send.RTCP(pkt); err != nil {
			l.drop(unsealed)
			return
		}
	}
	to.sendControl(peer, pkt)
}

// sendControl sends a sealed report to the leg's peer.
func (l *Leg) sendControl(e *endpoint, pkt []byte) {
	socket, k, at := &l.rtcp, &l.control, e.remoteRTCP
	if e.mux {
		socket, k, at = &l.rtp, &l.media, e.remote
	}
	k.follow(e.turn, at)
	if !socket.Send(pkt, k.at) {
		l.count.sendErrors.Add(1)
	}
}

// translateReport rewrites what l's peer reports into what to's peer can understand.
func (l *Leg) translateReport(in rtp.Report, to *Leg) rtp.Report {
	out := rtp.Report{SSRC: to.tx.ssrc}
	// A sender report describes the stream that to's peer hears, if l's peer is its source just now.
	if s := &to.tx.source; in.Sender && s.leg == l && s.ssrc == in.SSRC && s.timed {
		out.Sender, out.Info = true, in.Info
		out.Info.Timestamp += s.stampShift
		out.Info.Packets, out.Info.Octets = to.tx.packets, to.tx.octets
	}
	// A block describes how the stream to l's peer arrives, of which to's peer may be the source.
	if s := &l.tx.source; in.About && s.leg == to {
		low := uint16(in.Block.Highest) - s.shift
		if highest, ok := to.rx.Extend(s.ssrc, low); ok {
			out.About, out.Block = true, in.Block
			out.Block.SSRC, out.Block.Highest = s.ssrc, highest
			if !l.reports.from(in.Block.LSR, to) {
				out.Block.LSR, out.Block.DLSR = 0, 0 // it quotes another source's report
			}
		}
	}
	return out
}

// openControl is open for RTCP, whose index stands in the packet.
func (l *Leg) openControl(e *endpoint, pkt []byte, now time.Duration) ([]byte, error) {
	if e.recv == nil {
		return pkt, nil
	}
	if e.prev == nil {
		return e.recv.RTCP(pkt)
	}
	spare := l.w.spare[:copy(l.w.spare, pkt)]
	out, err := e.recv.RTCP(pkt)
	if err == nil {
		l.changed.CompareAndSwap(0, int64(now))
		return out, nil
	}
	// Unlike RTP's, an index that the new key has seen may well come under the old one: both count from the beginning.
	copy(pkt, spare)
	return e.prev.RTCP(pkt)
}

// sentReports remembers the sender reports that went to a peer lately, for the round trip: the peer quotes them (RFC 3550 §6.4.1).
type sentReports struct {
	list [4]reported
	next int
}

type reported struct {
	middle uint32 // of the NTP time
	at     time.Duration
	source *Leg // nil: free
}

func (s *sentReports) add(r reported) {
	s.list[s.next] = r
	s.next = (s.next + 1) % len(s.list)
}

// roundTrip is A − LSR − DLSR, with the time when the report passed here in the place of LSR; 0: unknown.
func (s *sentReports) roundTrip(b rtp.Block, now time.Duration) time.Duration {
	for _, r := range s.list {
		if r.source == nil || r.middle != b.LSR {
			continue
		}
		rtt := now - r.at - time.Duration(uint64(b.DLSR)*uint64(time.Second)>>16)
		if rtt > 0 && rtt < 10*time.Second {
			return rtt
		}
	}
	return 0
}

// from says whether the report that a block quotes came from a leg.
func (s *sentReports) from(lsr uint32, source *Leg) bool {
	for _, r := range s.list {
		if r.source == source && r.middle == lsr {
			return true
		}
	}
	return false
}
