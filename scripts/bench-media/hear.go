package main

import (
	"encoding/binary"

	"holdfast/media/rtp"
)

// listen takes all that has arrived, and opens it.
func (p *phones) listen() error {
	for _, fd := range p.fds {
		for {
			n, err := p.in.receive(fd)
			if err != nil {
				return err
			}
			for i := range n {
				p.hear(p.in.packet(i))
			}
			if n < inboxSize {
				break
			}
		}
	}
	return nil
}

func (p *phones) hear(pkt []byte, port uint16, at int64) {
	i := p.byPort[port]
	if i < 0 || len(pkt) < rtp.FixedSize+payloadSize {
		p.bad++
		return
	}
	f := &p.flows[i]
	seq := binary.BigEndian.Uint16(pkt[2:])
	if f.heard++; !f.known || f.heard%opened == 0 || p.forging {
		if !p.open(f, pkt, seq) {
			return
		}
	}
	sent := &f.other.times[byte(seq+f.shift)]
	if *sent == 0 {
		return
	}
	p.got++
	p.latency = keep(p.latency, at-*sent)
	*sent = 0
}

// open looks into a packet: it must authenticate, and be the one that its sequence number says.
func (p *phones) open(f *flow, pkt []byte, seq uint16) bool {
	if f.opener != nil {
		var err error
		if pkt, err = f.opener.RTP(pkt); err != nil {
			p.bad++
			if p.forging {
				p.forged++
			}
			return false
		}
	}
	if len(pkt) != rtp.FixedSize+payloadSize {
		p.bad++
		return false
	}
	shift := binary.BigEndian.Uint16(pkt[rtp.FixedSize:]) - seq
	if f.known && f.shift != shift {
		p.bad++
		return false
	}
	f.known, f.shift = true, shift
	return true
}
