package voice

import (
	"bytes"
	"net"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// Heard is what arrived since Listen. Counts are of packets that authenticated, but for the failures.
type Heard struct {
	Packets    int
	Failed     int           // did not authenticate, or came before there was a key
	Unknown    int           // a payload type that was not agreed on
	Lost       int           // gaps in the sequence numbers
	Sources    int           // different SSRCs
	LongestGap time.Duration // between two packets
	Codec      string
	Hz         float64 // PCMU: the strongest tone
	Share      float64 // PCMU: its share of the energy, 0…1
	OpusGood   int     // Opus: frames that are the sender's, byte for byte and in their order
	OpusBad    int     // Opus: frames that nobody sent, or out of their order
	Recording  int     // Opus: which recording
	Digits     string  // telephone events
	Reports    int     // RTCP
	CNAMEs     []string
}

const pcmWindow = pcmuRate // one second

// ear collects Heard; its owner locks.
type ear struct {
	h       Heard
	pcm     []int16
	opus    opusEar
	ssrcs   map[uint32]uint16 // last sequence number
	last    time.Time
	digitAt map[uint32]bool
}

func newEar() *ear {
	return &ear{ssrcs: map[uint32]uint16{}, digitAt: map[uint32]bool{}}
}

// Listen forgets what was heard and starts anew.
func (s *Stream) Listen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ear = newEar()
}

// Heard is what arrived since Listen, or since Open.
func (s *Stream) Heard() Heard {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.ear.h
	h.Sources = len(s.ear.ssrcs)
	h.OpusGood, h.OpusBad, h.Recording = s.ear.opus.good-s.ear.opus.outOfOrder, s.ear.opus.bad+s.ear.opus.outOfOrder, s.ear.opus.recording
	h.Hz, h.Share = Dominant(s.ear.pcm)
	return h
}

func (s *Stream) receive(c *net.UDPConn) {
	buf := make([]byte, 2048)
	for {
		n, _, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			select {
			case <-s.done:
				return
			default:
				continue // an ICMP error of an earlier packet
			}
		}
		if n < 2 {
			continue
		}
		s.mu.Lock()
		if t := buf[1]; t >= 192 && t <= 223 {
			s.hearRTCP(buf[:n])
		} else {
			s.hearRTP(time.Now(), buf[:n])
		}
		s.mu.Unlock()
	}
}

func (s *Stream) hearRTP(now time.Time, raw []byte) {
	e := s.ear
	var h rtp.Header
	if s.recv.ctx == nil {
		e.h.Failed++
		return
	}
	plain, err := s.recv.ctx.DecryptRTP(nil, raw, &h)
	if err != nil {
		e.h.Failed++
		return
	}
	n, err := h.Unmarshal(plain)
	if err != nil {
		e.h.Failed++
		return
	}
	payload := plain[n:]
	e.h.Packets++
	if !e.last.IsZero() {
		e.h.LongestGap = max(e.h.LongestGap, now.Sub(e.last))
	}
	e.last = now
	if last, ok := e.ssrcs[h.SSRC]; ok {
		if gap := int16(h.SequenceNumber - last); gap > 1 {
			e.h.Lost += int(gap) - 1
		}
	}
	e.ssrcs[h.SSRC] = h.SequenceNumber
	switch {
	case s.eventHere.Clock != 0 && h.PayloadType == s.eventHere.Type:
		if len(payload) >= 4 && payload[1]&0x80 != 0 && int(payload[0]) < len(eventKeys) && !e.digitAt[h.Timestamp] {
			e.digitAt[h.Timestamp] = true
			e.h.Digits += eventKeys[payload[0] : payload[0]+1]
		}
		e.opus.skip(h.SequenceNumber)
	case h.PayloadType == s.codecHere.Type:
		e.h.Codec = s.codecHere.Name
		switch s.codecHere.Name {
		case "opus":
			e.opus.hear(h.SequenceNumber, payload)
		case "pcmu":
			for _, b := range payload {
				e.pcm = append(e.pcm, decodePCMU(b))
			}
			if len(e.pcm) > pcmWindow {
				e.pcm = append(e.pcm[:0], e.pcm[len(e.pcm)-pcmWindow:]...)
			}
		}
	default:
		e.h.Unknown++
	}
}

func (s *Stream) hearRTCP(raw []byte) {
	if s.recv.ctx == nil {
		s.ear.h.Failed++
		return
	}
	plain, err := s.recv.ctx.DecryptRTCP(nil, raw, nil)
	if err != nil {
		s.ear.h.Failed++
		return
	}
	packets, err := rtcp.Unmarshal(bytes.Clone(plain))
	if err != nil {
		s.ear.h.Failed++
		return
	}
	s.ear.h.Reports++
	for _, p := range packets {
		if sdes, ok := p.(*rtcp.SourceDescription); ok {
			for _, c := range sdes.Chunks {
				for _, item := range c.Items {
					if item.Type == rtcp.SDESCNAME && len(s.ear.h.CNAMEs) < 16 {
						s.ear.h.CNAMEs = append(s.ear.h.CNAMEs, item.Text)
					}
				}
			}
		}
	}
}
