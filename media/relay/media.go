package relay

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"holdfast/media/rtp"
	"holdfast/media/srtp"
)

// receiveMedia is the whole step of one RTP packet.
func (l *Leg) receiveMedia(r *Route, pkt []byte, from netip.AddrPort, now time.Duration) {
	e := &r.from
	l.media.follow(e.turn, e.remote)
	if !l.media.admits(e, from, now) {
		l.drop(stranger)
		return
	}
	received := len(pkt)
	var sealed []byte // as it came, where it goes on so
	var err error
	if r.verbatim {
		pkt, sealed, err = l.openShared(e, pkt, now)
	} else {
		pkt, err = l.open(e, pkt, now)
	}
	if err != nil {
		l.miss(err, from)
		return
	}
	var h rtp.Header
	if h.Parse(pkt) != nil {
		l.drop(malformed)
		return
	}
	var body []byte
	if len(sealed) != len(pkt) { // else it is still encrypted
		if body, err = h.Payload(pkt); err != nil {
			l.drop(malformed)
			return
		}
	}
	l.media.authenticated(e, from, now)
	l.heard.Store(int64(now))
	k := e.kindOf(h.PayloadType)
	l.rx.Packet(&h, e.clockOf(k), now)
	l.count.rxPackets.Add(1)
	l.count.rxBytes.Add(uint64(received))
	if lost := l.rx.Lost(); lost != l.count.lost.Load() { // storing costs much more than reading
		l.count.lost.Store(lost)
	}
	l.count.jitter.Store(uint64(l.rx.Jitter()))

	if k == event {
		l.pressed(e, &h, body, now)
	}
	switch {
	case k == unknown:
		l.drop(payload)
	case r.cover != nil && r.leg.covered(r.cover, k, now):
		l.drop(covered)
	case r.leg == nil:
		l.drop(unconnected)
	case !r.to.toPeer:
		r.leg.tx.source = source{} // what comes after the hold begins anew: the pause was no loss
		l.drop(held)
	case r.verbatim:
		l.passOn(r, sealed)
	case r.to.shared:
		l.drop(unkeyed)
	default:
		l.forward(r, &h, k, pkt, body, now)
	}
}

// forward sends an open packet on to the other leg. Contributing sources and header extensions stay behind: they were negotiated, if at
// all, with this peer and not with the other.
func (l *Leg) forward(r *Route, h *rtp.Header, k kind, pkt, body []byte, now time.Duration) {
	var ok bool
	if h.PayloadType, ok = r.translate(k); !ok {
		l.drop(payload)
		return
	}
	if k == event {
		if len(body) < rtp.EventSize {
			l.drop(malformed)
			return
		}
		rtp.ScaleEvents(body, r.from.event.Clock, r.to.event.Clock)
	}
	to, peer := r.leg, &r.to
	to.tx.adopt(peer)
	if !to.tx.number(h, l, r.link, k, peer.audio.Clock, now) {
		l.drop(late)
		return
	}
	out := pkt[h.Size-rtp.FixedSize:]
	h.Put(out)
	if err := to.transmit(peer, out, len(body)); err != nil {
		l.refuseToSeal(err)
	}
}

// transmit seals a numbered packet, in place, and sends it to the leg's peer. An error is the seal's.
func (l *Leg) transmit(e *endpoint, pkt []byte, octets int) error {
	if e.shared {
		return errPeersKey
	}
	if e.send != nil {
		var err error
		if pkt, err = e.send.RTP(pkt); err != nil {
			return err
		}
	}
	l.media.follow(e.turn, e.remote)
	l.tx.sent(octets)
	if !l.rtp.Send(pkt, l.media.at) {
		l.count.sendErrors.Add(1)
		return nil
	}
	l.count.txPackets.Add(1)
	l.count.txBytes.Add(uint64(len(pkt)))
	return nil
}

// open authenticates and decrypts an RTP packet. While the key is being changed it tries, in this order: the new key, the new key at the
// roll-over count to which the old one had come, the old key. A stream that goes on from another leg may be at that leg's, and one that
// is new may have begun just before 65,536 with packets that were lost, or came before the key: it is at the first roll-over already.
func (l *Leg) open(e *endpoint, pkt []byte, now time.Duration) ([]byte, error) {
	if e.recv == nil {
		return pkt, nil
	}
	if e.prev == nil && e.stood.index == 0 && e.recv.Begun() {
		return e.recv.RTP(pkt)
	}
	spare := l.w.spare[:copy(l.w.spare, pkt)] // a failed attempt may destroy the packet
	out, err := e.recv.RTP(pkt)
	if err == nil {
		l.changed.CompareAndSwap(0, int64(now))
		return out, nil
	}
	if errors.Is(err, srtp.ErrReplayed) || len(spare) < rtp.FixedSize {
		return nil, err
	}
	roc := e.stood.roc(spare)
	if e.prev != nil {
		ssrc := binary.BigEndian.Uint32(spare[8:])
		roc = max(roc, standing{ssrc, e.prev.Index(ssrc)}.roc(spare))
	}
	if roc == 0 && !e.recv.Begun() && binary.BigEndian.Uint16(spare[2:]) < 1<<15 {
		roc = 1
	}
	if roc != 0 {
		copy(pkt, spare)
		if out, err := e.recv.RTPFrom(pkt, roc); err == nil {
			l.changed.CompareAndSwap(0, int64(now))
			return out, nil
		}
	}
	if e.prev == nil {
		return nil, err
	}
	copy(pkt, spare)
	return e.prev.RTP(pkt)
}

// refuse counts a packet that did not open.
func (l *Leg) refuse(err error) {
	switch {
	case errors.Is(err, srtp.ErrReplayed):
		l.drop(replayed)
	case errors.Is(err, srtp.ErrMalformed):
		l.drop(malformed)
	default:
		l.drop(forged)
	}
}

func (l *Leg) refuseToSeal(err error) {
	if errors.Is(err, srtp.ErrReused) {
		l.drop(late)
	} else {
		l.drop(unsealed)
	}
}
