package voice

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

const (
	frameTime  = 20 * time.Millisecond
	reportTime = time.Second
	eventKeys  = "0123456789*#ABCD"
)

// pressed is a digit on its way: five packets of 20 ms, the last sent three times (RFC 4733 §2.5.1).
type pressed struct {
	code  byte
	ts    uint32
	sent  int
	ticks uint32
}

// play sends a frame every 20 ms while the stream may send. The timestamp runs on while it may not, as a clock does.
func (s *Stream) play() {
	tick := time.NewTicker(frameTime)
	defer tick.Stop()
	sine := &tone{hz: s.cfg.Hz}
	loop := &opusLoop{frames: opusFrames(s.cfg.Recording)}
	start, due := time.Now(), 0
	seq, base, marker := uint16(rand.Uint32()>>17), rand.Uint32(), true // far from the first roll-over (RFC 3711 §3.3.1)
	var digit *pressed
	var lastReport time.Time
	for {
		select {
		case <-s.done:
			return
		case now := <-tick.C:
			for n := int(now.Sub(start) / frameTime); due < n; due++ {
				if n-due > 5 { // the machine slept: do not flood
					due = n - 1
				}
				s.mu.Lock()
				if !s.sending || s.muted || s.send.ctx == nil {
					marker = true
					s.mu.Unlock()
					continue
				}
				step := uint32(s.codec.Clock / 50)
				h := rtp.Header{Version: 2, SSRC: s.ssrc, SequenceNumber: seq, Timestamp: base + uint32(due)*step, PayloadType: s.codec.Type, Marker: marker}
				var payload []byte
				switch s.codec.Name {
				case "opus":
					payload = loop.next()
				default:
					payload = sine.next()
				}
				if digit == nil {
					digit = s.press(h.Timestamp)
				}
				if digit != nil {
					payload = digit.packet(&h, s.event)
					if digit.sent >= 8 {
						digit = nil
					}
				}
				s.seal(&h, payload)
				seq, marker = seq+1, false
				if now.Sub(lastReport) >= reportTime {
					lastReport = now
					s.report(now, h.Timestamp)
				}
				s.mu.Unlock()
			}
		}
	}
}

func (s *Stream) press(ts uint32) *pressed {
	select {
	case d := <-s.digits:
		if i := strings.IndexByte(eventKeys, d); i >= 0 && s.event.Clock != 0 {
			return &pressed{code: byte(i), ts: ts, ticks: s.event.Clock / 50}
		}
	default:
	}
	return nil
}

// packet is the digit's next packet; h is changed to carry it.
func (p *pressed) packet(h *rtp.Header, event Codec) []byte {
	p.sent++
	h.PayloadType, h.Timestamp, h.Marker = event.Type, p.ts, p.sent == 1
	out := []byte{p.code, 10, 0, 0}
	if p.sent > 5 {
		out[1] |= 0x80
	}
	binary.BigEndian.PutUint16(out[2:], uint16(p.ticks*uint32(min(p.sent, 6))))
	return out
}

func (s *Stream) seal(h *rtp.Header, payload []byte) {
	head, err := h.Marshal()
	if err != nil {
		return
	}
	sealed, err := s.send.ctx.EncryptRTP(nil, append(head, payload...), nil)
	if err != nil {
		return
	}
	s.sentPackets++
	s.sentBytes += uint32(len(payload))
	s.rtp.WriteToUDP(sealed, net.UDPAddrFromAddrPort(s.peer.Addr))
}

// report sends a sender report with a CNAME (RFC 3550 §6.4.1).
func (s *Stream) report(now time.Time, ts uint32) {
	raw, err := rtcp.Marshal([]rtcp.Packet{
		&rtcp.SenderReport{SSRC: s.ssrc, NTPTime: ntp(now), RTPTime: ts, PacketCount: s.sentPackets, OctetCount: s.sentBytes},
		&rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{Source: s.ssrc,
			Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: "lab@" + s.cfg.IP.String()}}}}},
	})
	if err != nil {
		return
	}
	sealed, err := s.send.ctx.EncryptRTCP(nil, raw, nil)
	if err != nil {
		return
	}
	to := net.UDPAddrFromAddrPort(s.peerRTCP)
	if s.peer.Mux {
		s.rtp.WriteToUDP(sealed, to)
		return
	}
	s.rtcp.WriteToUDP(sealed, to)
}

func ntp(t time.Time) uint64 {
	sec := uint64(t.Unix()) + 2208988800
	return sec<<32 | uint64(t.Nanosecond())<<32/1e9
}
