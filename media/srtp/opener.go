package srtp

import (
	"encoding/binary"

	"holdfast/media/rtp"
)

// maxOpened is how many SSRCs an Opener knows at once. A peer has one, and a new one whenever it is transferred; when there are more,
// the one unheard for longest is forgotten, and could then be replayed by someone who recorded it.
const maxOpened = 8

// received is the state of one SSRC.
type received struct {
	ssrc      uint32
	used      uint64 // Opener.clock when last heard; 0: free
	rtp, rtcp window
}

// Opener authenticates and decrypts what a peer seals under one master key.
type Opener struct {
	t     transform
	clock uint64 // packets opened
	last  int    // where the last packet's SSRC was found
	known [maxOpened]received
	cm    cm // what t is, unless it is GCM
}

// NewOpener takes a suite by its SDES name, master key and salt in one piece, and the MKI (nil: none). It keeps no reference to either.
func NewOpener(suite string, key, mki []byte) (*Opener, error) {
	x, err := NewScratch()
	if err != nil {
		return nil, err
	}
	return x.NewOpener(suite, key, mki)
}

// Expect reads what RTP will need, or Verify if not decrypt, so that the processor has it near by then. What it gives means nothing.
func (o *Opener) Expect(decrypt bool) uint64 {
	w := &o.known[o.last].rtp
	n := w.top + w.seen[len(w.seen)-1]
	switch {
	case o.cm.Scratch != nil: // does not wait for t
		n += o.cm.expect(decrypt)
	case o.t != nil:
		n += o.t.expect(decrypt)
	}
	return n
}

// RTP opens an SRTP packet in place. After ErrAuth the payload may be destroyed.
func (o *Opener) RTP(pkt []byte) ([]byte, error) { return o.RTPFrom(pkt, 0) }

// RTPFrom is RTP for a stream that may already be at a roll-over count when its first packet comes: RFC 3711 §3.3.1 says that the count
// outlives a change of keys, though most peers start again at 0. roc is ignored for an SSRC heard before.
func (o *Opener) RTPFrom(pkt []byte, roc uint32) ([]byte, error) { return o.rtp(pkt, roc, true) }

// Verify does all that RTP does, but leaves the packet as it is, so that it can be passed on to someone who has the key too.
func (o *Opener) Verify(pkt []byte) error {
	_, err := o.rtp(pkt, 0, false)
	return err
}

func (o *Opener) rtp(pkt []byte, roc uint32, decrypt bool) ([]byte, error) {
	if o.t == nil {
		return nil, ErrWiped
	}
	var h rtp.Header
	if h.Parse(pkt) != nil {
		return nil, ErrMalformed
	}
	var w *window
	var index uint64
	if r := o.find(h.SSRC); r != nil {
		var ok bool
		w = &r.rtp
		if index, ok = w.estimate(h.Sequence, roc); !ok || !w.fresh(index) {
			return nil, ErrReplayed
		}
	} else {
		index = uint64(roc)<<16 | uint64(h.Sequence)
	}
	out, err := o.t.openRTP(pkt, h.Size, h.SSRC, index, decrypt)
	if err != nil {
		return nil, err
	}
	if w == nil {
		w = &o.admit(h.SSRC).rtp
	}
	w.commit(index)
	o.heard()
	return out, nil
}

// RTCP opens an SRTCP packet in place. Packets that are authenticated but not encrypted are refused: nothing but SDES's
// UNENCRYPTED_SRTCP would allow them, and the box never agrees to that.
func (o *Opener) RTCP(pkt []byte) ([]byte, error) {
	if o.t == nil {
		return nil, ErrWiped
	}
	at := o.t.word(pkt)
	if at < 8 || pkt[0]>>6 != 2 {
		return nil, ErrMalformed
	}
	ssrc, index := binary.BigEndian.Uint32(pkt[4:]), binary.BigEndian.Uint32(pkt[at:])
	if index&encrypted == 0 {
		return nil, ErrAuth
	}
	index &^= encrypted
	r := o.find(ssrc)
	if r != nil && !r.rtcp.fresh(uint64(index)) {
		return nil, ErrReplayed
	}
	out, err := o.t.openRTCP(pkt, ssrc, index)
	if err != nil {
		return nil, err
	}
	if r == nil {
		r = o.admit(ssrc)
	}
	r.rtcp.commit(uint64(index))
	o.heard()
	return out, nil
}

// ROC is the roll-over count of an SSRC; 0 if it was never heard.
func (o *Opener) ROC(ssrc uint32) uint32 { return uint32(o.Index(ssrc) >> 16) }

// Begun says whether the SSRC that was heard last has sent RTP: until then, a stream's roll-over count can only be guessed.
func (o *Opener) Begun() bool { return o.known[o.last].rtp.started }

// Index is the highest index of an SSRC: its roll-over count, and below it 16 bits of sequence number; 0 if it was never heard.
func (o *Opener) Index(ssrc uint32) uint64 {
	for i := range o.known {
		if r := &o.known[i]; r.used != 0 && r.ssrc == ssrc {
			return r.rtp.top
		}
	}
	return 0
}

// Wipe forgets the keys; the Opener opens nothing any more.
func (o *Opener) Wipe() {
	if o.t != nil {
		o.t.wipe()
		*o = Opener{}
	}
}

func (o *Opener) find(ssrc uint32) *received {
	if r := &o.known[o.last]; r.used != 0 && r.ssrc == ssrc {
		return r
	}
	for i := range o.known {
		if r := &o.known[i]; r.used != 0 && r.ssrc == ssrc {
			o.last = i
			return r
		}
	}
	return nil
}

// admit makes room for an SSRC that has just authenticated.
func (o *Opener) admit(ssrc uint32) *received {
	oldest := 0
	for i := range o.known {
		if o.known[i].used < o.known[oldest].used {
			oldest = i
		}
	}
	o.last = oldest
	o.known[oldest] = received{ssrc: ssrc}
	return &o.known[oldest]
}

func (o *Opener) heard() {
	o.clock++
	o.known[o.last].used = o.clock
}
