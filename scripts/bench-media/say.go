package main

import (
	"encoding/binary"
	"time"

	"holdfast/media/rtp"
)

// sealedSize is the room for a sealed packet: its length, then itself.
const sealedSize = 192

// say sends a phone's next packet, and notes when.
func (p *phones) say(f *flow) error {
	var pkt []byte
	if len(p.sealed) > 0 {
		pkt = p.sealed[1 : 1+int(p.sealed[0])]
		p.sealed = p.sealed[sealedSize:]
	} else {
		var err error
		if pkt, err = p.next(f); err != nil {
			return err
		}
	}
	now := realtime()
	at := &f.times[pkt[3]]
	*at = 0
	if p.now >= p.from && p.now < p.to {
		*at = now
		f.sent++
		p.late = keep(p.late, now-f.due)
	}
	return send(f.fd, pkt, &f.to)
}

// next seals a phone's next packet. Its payload begins with its sequence number.
func (p *phones) next(f *flow) ([]byte, error) {
	f.header.Sequence++
	f.header.Timestamp += payloadSize
	pkt := p.out[:rtp.FixedSize+payloadSize]
	f.header.Put(pkt)
	binary.BigEndian.PutUint16(pkt[rtp.FixedSize:], f.header.Sequence)
	if f.sealer == nil {
		return pkt, nil
	}
	return f.sealer.RTP(pkt)
}

// forge sends packets that do not authenticate, to see whether the relay looks.
func (p *phones) forge() error {
	f := &p.flows[0]
	if f.sealer == nil {
		return nil
	}
	p.forging = true
	for range forgeries {
		pkt, err := p.next(f)
		if err != nil {
			return err
		}
		pkt[rtp.FixedSize+20] ^= 1
		if err := send(f.fd, pkt, &f.to); err != nil {
			return err
		}
	}
	return p.linger(200 * time.Millisecond)
}
