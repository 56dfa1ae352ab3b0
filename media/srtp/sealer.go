package srtp

import (
	"encoding/binary"

	"holdfast/media/rtp"
)

// maxSealed is how many SSRCs a Sealer may send. None is ever forgotten: sealing an index twice under one key would give the
// plaintext away (RFC 3711 §9.1), and with GCM the authentication key (RFC 7714 §8.1).
const maxSealed = 4

// sent is the state of one SSRC.
type sent struct {
	ssrc uint32
	rtp  window
	rtcp uint32 // next SRTCP index
}

// Sealer encrypts and authenticates what the box sends under one master key.
type Sealer struct {
	t     transform
	known [maxSealed]sent
	n     int // of known in use
	cm    cm  // what t is, unless it is GCM
}

// NewSealer takes what NewOpener takes.
func NewSealer(suite string, key, mki []byte) (*Sealer, error) {
	x, err := NewScratch()
	if err != nil {
		return nil, err
	}
	return x.NewSealer(suite, key, mki)
}

// Expect reads what RTP will need, so that the processor has it near by then. What it gives means nothing.
func (s *Sealer) Expect() uint64 {
	n := s.known[0].rtp.top
	switch {
	case s.cm.Scratch != nil: // does not wait for t
		n += s.cm.expect(true)
	case s.t != nil:
		n += s.t.expect(true)
	}
	return n
}

// RTP seals a packet in place; cap(pkt) must leave room for the tag (Overhead always does). A sequence number that was sealed before, or
// is too old to know, gives ErrReused and leaves the packet as it was.
func (s *Sealer) RTP(pkt []byte) ([]byte, error) {
	if s.t == nil {
		return nil, ErrWiped
	}
	var h rtp.Header
	if h.Parse(pkt) != nil {
		return nil, ErrMalformed
	}
	if extra, _ := s.t.overhead(); cap(pkt)-len(pkt) < extra {
		return nil, ErrRoom
	}
	st := s.find(h.SSRC)
	if st == nil {
		return nil, ErrSources
	}
	index, ok := st.rtp.estimate(h.Sequence, 0)
	if !ok {
		if st.rtp.top>>47 != 0 {
			return nil, ErrExhausted
		}
		return nil, ErrReused
	}
	if !st.rtp.fresh(index) {
		return nil, ErrReused
	}
	st.rtp.commit(index) // before it is sealed: an index is used up even if something fails later
	return s.t.sealRTP(pkt, h.Size, h.SSRC, index), nil
}

// RTCP seals a compound packet in place; cap(pkt) must leave room as for RTP.
func (s *Sealer) RTCP(pkt []byte) ([]byte, error) {
	if s.t == nil {
		return nil, ErrWiped
	}
	if len(pkt) < 8 || pkt[0]>>6 != 2 {
		return nil, ErrMalformed
	}
	if _, extra := s.t.overhead(); cap(pkt)-len(pkt) < extra {
		return nil, ErrRoom
	}
	ssrc := binary.BigEndian.Uint32(pkt[4:])
	st := s.find(ssrc)
	if st == nil {
		return nil, ErrSources
	}
	index := st.rtcp
	if index&encrypted != 0 {
		return nil, ErrExhausted
	}
	st.rtcp++
	return s.t.sealRTCP(pkt, ssrc, index), nil
}

// ROC is the roll-over count of an SSRC; 0 if it was never sealed.
func (s *Sealer) ROC(ssrc uint32) uint32 {
	for i := range s.known[:s.n] {
		if s.known[i].ssrc == ssrc {
			return uint32(s.known[i].rtp.top >> 16)
		}
	}
	return 0
}

// Wipe forgets the keys; the Sealer seals nothing any more.
func (s *Sealer) Wipe() {
	if s.t != nil {
		s.t.wipe()
		*s = Sealer{}
	}
}

func (s *Sealer) find(ssrc uint32) *sent {
	for i := range s.known[:s.n] {
		if s.known[i].ssrc == ssrc {
			return &s.known[i]
		}
	}
	if s.n == maxSealed {
		return nil
	}
	s.known[s.n] = sent{ssrc: ssrc}
	s.n++
	return &s.known[s.n-1]
}
