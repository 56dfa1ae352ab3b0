// Package rtp reads and writes RTP and RTCP (RFC 3550) and telephone events (RFC 4733) in place, over byte slices, without allocating.
//
// It holds what one packet says and what can be computed from a stream's packets one by one (Reception). Sockets, encryption and the
// decision what to send where belong to other packages. Everything here is pure: time is passed in.
package rtp

import (
	"encoding/binary"
	"errors"
)

// ErrMalformed is a packet that does not hold what its header says.
var ErrMalformed = errors.New("malformed RTP")

// FixedSize is the RTP header without contributing sources and extension, in bytes (RFC 3550 §5.1).
const FixedSize = 12

// Header is the fixed header of an RTP packet, and where its payload begins.
type Header struct {
	Padding     bool
	Marker      bool
	PayloadType uint8
	Sequence    uint16
	Timestamp   uint32
	SSRC        uint32
	Size        int // bytes before the payload: fixed header, contributing sources, extension
}

// Parse reads the header of pkt into h, which means nothing after an error. It does not look behind the header, which may be encrypted
// there.
//
// A pointer, because a Header that is returned is copied in larger pieces than it was written in, and the processor waits for that.
func (h *Header) Parse(pkt []byte) error {
	if len(pkt) < FixedSize || pkt[0]>>6 != 2 {
		return ErrMalformed
	}
	h.Padding = pkt[0]&0x20 != 0
	h.Marker = pkt[1]&0x80 != 0
	h.PayloadType = pkt[1] & 0x7f
	h.Sequence = binary.BigEndian.Uint16(pkt[2:])
	h.Timestamp = binary.BigEndian.Uint32(pkt[4:])
	h.SSRC = binary.BigEndian.Uint32(pkt[8:])
	h.Size = FixedSize + 4*int(pkt[0]&0x0f)
	if pkt[0]&0x10 != 0 { // extension (§5.3.1): 16 bits of profile, 16 bits of length in words
		if len(pkt) < h.Size+4 {
			return ErrMalformed
		}
		h.Size += 4 + 4*int(binary.BigEndian.Uint16(pkt[h.Size+2:]))
	}
	if len(pkt) < h.Size {
		return ErrMalformed
	}
	return nil
}

// Put writes h as a fixed header, without contributing sources and extension, over the first FixedSize bytes of b.
func (h *Header) Put(b []byte) {
	_ = b[FixedSize-1]
	b[0] = 0x80
	if h.Padding {
		b[0] |= 0x20
	}
	b[1] = h.PayloadType & 0x7f
	if h.Marker {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], h.Sequence)
	binary.BigEndian.PutUint32(b[4:], h.Timestamp)
	binary.BigEndian.PutUint32(b[8:], h.SSRC)
}

// Payload is the packet's payload without padding. pkt must be the decrypted packet that h was parsed from.
func (h *Header) Payload(pkt []byte) ([]byte, error) {
	if len(pkt) < h.Size {
		return nil, ErrMalformed
	}
	end := len(pkt)
	if h.Padding {
		if end == h.Size {
			return nil, ErrMalformed
		}
		n := int(pkt[end-1])
		if n == 0 || n > end-h.Size {
			return nil, ErrMalformed
		}
		end -= n
	}
	return pkt[h.Size:end], nil
}
