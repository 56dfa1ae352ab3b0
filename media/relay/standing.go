package relay

import (
	"encoding/binary"

	"holdfast/media/rtp"
)

// standing is how far a stream had come that was heard on another leg before: an SSRC and its index (RFC 3711 §3.3.1).
type standing struct {
	ssrc  uint32
	index uint64
}

// Continue tells the leg that its peer was heard on old before, of whatever session, which is closed: a dialog has gone over from one
// call to another. A peer that keeps its key keeps counting too, and its roll-over count, which no packet carries, would be lost.
// It is to be called before Set.
func (l *Leg) Continue(old *Leg) {
	old.session.mu.Lock()
	stood := old.stood
	old.session.mu.Unlock()
	l.session.mu.Lock()
	defer l.session.mu.Unlock()
	l.stood = stood
}

// stand notes where the peer's stream stood at the end. The caller holds session.mu, and the worker is done with the leg.
func (l *Leg) stand() {
	if l.keys.recv == nil {
		return
	}
	ssrc := l.rx.SSRC()
	if index := l.keys.recv.Index(ssrc); index != 0 {
		l.stood = standing{ssrc, index}
	}
}

// roc is the roll-over count that a packet of the stream has, if it goes on from there.
func (s standing) roc(pkt []byte) uint32 {
	if s.index == 0 || len(pkt) < rtp.FixedSize || binary.BigEndian.Uint32(pkt[8:]) != s.ssrc {
		return 0
	}
	seq, last := binary.BigEndian.Uint16(pkt[2:]), uint16(s.index)
	roc := uint32(s.index >> 16)
	if int16(seq-last) > 0 && seq < last { // it has wrapped meanwhile
		roc++
	}
	return roc
}
