package rtp

import "encoding/binary"

// RTCP packet types (RFC 3550 §12.1).
const (
	typeSR   = 200
	typeRR   = 201
	typeSDES = 202
)

// SenderInfo is the sender's part of a sender report (RFC 3550 §6.4.1).
type SenderInfo struct {
	NTP             uint64
	Timestamp       uint32
	Packets, Octets uint32
}

// Middle is the part of the NTP time that report blocks quote as LSR.
func (s SenderInfo) Middle() uint32 { return uint32(s.NTP >> 16) }

// Block is a reception report block.
type Block struct {
	SSRC         uint32
	FractionLost uint8  // in 1/256
	Lost         uint32 // cumulative, 24 bits, signed in the packet; carried as it is
	Highest      uint32 // extended highest sequence number
	Jitter       uint32
	LSR, DLSR    uint32 // 1/65536 s
}

// Report is what a compound RTCP packet says about one stream in each direction.
type Report struct {
	SSRC   uint32 // the reporter
	Sender bool   // Info is valid: it was a sender report
	Info   SenderInfo
	About  bool // Block is valid: it had a block about the stream asked for
	Block  Block
}

// ParseReport reads a compound packet: the first sender or receiver report and the first block about ssrc. The whole compound must be
// well formed (RFC 3550 A.2). A compound without a report (RFC 5506) gives a zero Report with the first packet's SSRC.
func ParseReport(pkt []byte, ssrc uint32) (Report, error) {
	var rep Report
	if len(pkt) < 8 {
		return rep, ErrMalformed
	}
	rep.SSRC = binary.BigEndian.Uint32(pkt[4:])
	found := false
	for len(pkt) > 0 {
		if len(pkt) < 4 || pkt[0]>>6 != 2 {
			return Report{}, ErrMalformed
		}
		size := 4 + 4*int(binary.BigEndian.Uint16(pkt[2:]))
		if size > len(pkt) {
			return Report{}, ErrMalformed
		}
		one, count := pkt[:size], int(pkt[0]&0x1f)
		pkt = pkt[size:]
		if one[1] != typeSR && one[1] != typeRR {
			continue
		}
		blocks := 8
		if one[1] == typeSR {
			blocks = 28
		}
		if len(one) < blocks+24*count {
			return Report{}, ErrMalformed
		}
		if !found {
			found = true
			rep.SSRC = binary.BigEndian.Uint32(one[4:])
			if one[1] == typeSR {
				rep.Sender = true
				rep.Info = SenderInfo{
					NTP:       binary.BigEndian.Uint64(one[8:]),
					Timestamp: binary.BigEndian.Uint32(one[16:]),
					Packets:   binary.BigEndian.Uint32(one[20:]),
					Octets:    binary.BigEndian.Uint32(one[24:]),
				}
			}
		}
		for b := one[blocks : blocks+24*count]; len(b) > 0 && !rep.About; b = b[24:] {
			if binary.BigEndian.Uint32(b) == ssrc {
				rep.About, rep.Block = true, parseBlock(b)
			}
		}
	}
	return rep, nil
}

func parseBlock(b []byte) Block {
	return Block{
		SSRC:         binary.BigEndian.Uint32(b),
		FractionLost: b[4],
		Lost:         binary.BigEndian.Uint32(b[4:]) & 0xffffff,
		Highest:      binary.BigEndian.Uint32(b[8:]),
		Jitter:       binary.BigEndian.Uint32(b[12:]),
		LSR:          binary.BigEndian.Uint32(b[16:]),
		DLSR:         binary.BigEndian.Uint32(b[20:]),
	}
}

// MaxReport is the most that Append writes, in bytes, for a name of at most 32 bytes.
const MaxReport = 28 + 24 + 8 + 2 + 32 + 4

// Append writes r to dst as a compound packet: a sender or receiver report with at most one block, then the reporter's CNAME
// (RFC 3550 §6.1 demands both). name is at most 32 bytes; the rest is cut off.
func (r Report) Append(dst []byte, name string) []byte {
	be := binary.BigEndian
	words, kind, count := 1, byte(typeRR), byte(0)
	if r.Sender {
		words, kind = 6, typeSR
	}
	if r.About {
		words, count = words+6, 1
	}
	dst = append(dst, 0x80|count, kind, 0, byte(words))
	dst = be.AppendUint32(dst, r.SSRC)
	if r.Sender {
		dst = be.AppendUint64(dst, r.Info.NTP)
		dst = be.AppendUint32(dst, r.Info.Timestamp)
		dst = be.AppendUint32(dst, r.Info.Packets)
		dst = be.AppendUint32(dst, r.Info.Octets)
	}
	if r.About {
		dst = be.AppendUint32(dst, r.Block.SSRC)
		dst = be.AppendUint32(dst, uint32(r.Block.FractionLost)<<24|r.Block.Lost&0xffffff)
		dst = be.AppendUint32(dst, r.Block.Highest)
		dst = be.AppendUint32(dst, r.Block.Jitter)
		dst = be.AppendUint32(dst, r.Block.LSR)
		dst = be.AppendUint32(dst, r.Block.DLSR)
	}
	name = name[:min(len(name), 32)]
	// One chunk: SSRC, the item (type 1, length, text), then zeros up to the next word, at least one (§6.5).
	pad := 4 - (2+len(name))%4
	dst = append(dst, 0x81, typeSDES, 0, byte((4+2+len(name)+pad)/4))
	dst = be.AppendUint32(dst, r.SSRC)
	dst = append(dst, 1, byte(len(name)))
	dst = append(dst, name...)
	for range pad {
		dst = append(dst, 0)
	}
	return dst
}
