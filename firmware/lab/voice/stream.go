// Package voice is one lab phone's audio: an SDP description, an SRTP stream on pion, what it plays and what it
// hears. PCMU is a sine of the player's own frequency, measured where it arrives; Opus is a recording of genuine
// packets, compared byte for byte.
//
// Who calls whom is package ua's job. It shares no code with the box's media, or it would only confirm it.
package voice

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// ErrNoCommon is returned for an offer without a codec or an SRTP suite that this end has (488).
var ErrNoCommon = errors.New("voice: no common codec or SRTP suite")

// Config says what a stream can do and what it plays.
type Config struct {
	IP         netip.Addr
	Codecs     []string // "opus", "pcmu", "pcma", in order of preference
	Suites     []string // SRTP suites offered, in order
	EventClock uint32   // clock rate of telephone-event, default 8000
	Hz         float64  // the tone played in PCMU
	Recording  int      // the recording played in Opus
}

// Stream is an RTP session with one peer. Its methods are safe for concurrent use.
type Stream struct {
	cfg       Config
	rtp, rtcp *net.UDPConn
	done      chan struct{}
	owned     sync.WaitGroup

	mu          sync.Mutex
	session     uint64
	version     uint64
	keys        []Crypto // ours, one a suite, by tag
	own         Description
	peer        Description
	codec       Codec // as the peer numbers it
	event       Codec // as the peer numbers it; Clock 0: none
	eventHere   Codec // as we numbered it
	codecHere   Codec
	send, recv  direction
	sending     bool
	muted       bool
	peerRTCP    netip.AddrPort
	ear         *ear
	digits      chan byte
	ssrc        uint32
	sentPackets uint32
	sentBytes   uint32
}

// Open takes an even port and the odd one above it and starts to listen. The stream plays once it has been negotiated.
func Open(cfg Config) (*Stream, error) {
	if cfg.EventClock == 0 {
		cfg.EventClock = pcmuRate
	}
	s := &Stream{
		cfg: cfg, done: make(chan struct{}), session: rand.Uint64() >> 2, ssrc: rand.Uint32(),
		digits: make(chan byte, 32), ear: newEar(),
	}
	for i, name := range cfg.Suites {
		if _, ok := suiteOf(name); !ok {
			return nil, fmt.Errorf("voice: unknown suite %q", name)
		}
		s.keys = append(s.keys, newKey(i+1, name))
	}
	var err error
	for range 50 {
		if s.rtp, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(cfg.IP, 0))); err != nil {
			break
		}
		port := s.Local().Port()
		if port%2 == 0 {
			if s.rtcp, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(cfg.IP, port+1))); err == nil {
				s.owned.Go(func() { s.receive(s.rtp) })
				s.owned.Go(func() { s.receive(s.rtcp) })
				s.owned.Go(s.play)
				return s, nil
			}
		}
		s.rtp.Close()
	}
	return nil, fmt.Errorf("voice: no pair of ports on %v: %w", cfg.IP, err)
}

// Local is where this end listens for RTP.
func (s *Stream) Local() netip.AddrPort { return s.rtp.LocalAddr().(*net.UDPAddr).AddrPort() }

// Close stops the stream and waits for its goroutines.
func (s *Stream) Close() {
	s.mu.Lock()
	select {
	case <-s.done:
	default:
		close(s.done)
		s.rtp.Close()
		s.rtcp.Close()
	}
	s.mu.Unlock()
	s.owned.Wait()
}

// Offer describes what this end can do (RFC 3264 §5). Repeated offers keep keys and ports.
func (s *Stream) Offer(dir string) Description {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.describe(dir)
	d.Crypto = s.keys
	names := slices.Clone(s.cfg.Codecs)
	slices.SortStableFunc(names, func(a, b string) int { // the codec in use first: a re-offer is no wish to change it
		return boolInt(b == s.codec.Name) - boolInt(a == s.codec.Name)
	})
	for _, name := range names {
		switch name {
		case "opus":
			d.Codecs = append(d.Codecs, Codec{96, "opus", 48000})
		case "pcmu":
			d.Codecs = append(d.Codecs, Codec{0, "pcmu", 8000})
		case "pcma":
			d.Codecs = append(d.Codecs, Codec{8, "pcma", 8000})
		}
	}
	d.Codecs = append(d.Codecs, Codec{101, "telephone-event", s.cfg.EventClock})
	s.own = d
	return d
}

func (s *Stream) describe(dir string) Description {
	s.version++
	return Description{Addr: s.Local(), Profile: "RTP/SAVP", Direction: dir, Session: s.session, Version: s.version}
}

// Answer takes the peer's offer and starts the stream (RFC 3264 §6): its first codec that this end has.
func (s *Stream) Answer(offer Description) (Description, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if offer.Profile != "RTP/SAVP" && offer.Profile != "RTP/SAVPF" {
		return Description{}, fmt.Errorf("%w: profile %s", ErrNoCommon, offer.Profile)
	}
	a := s.describe(Reverse(offer.Direction))
	a.Profile = offer.Profile
	codec, ok := s.firstCommon(offer.Codecs)
	if !ok {
		return a, fmt.Errorf("%w: offered %v", ErrNoCommon, offer.Codecs)
	}
	a.Codecs = []Codec{codec}
	event := bestEvent(offer.Codecs, codec.Clock, s.cfg.EventClock)
	if event.Clock != 0 {
		a.Codecs = append(a.Codecs, event)
	}
	for _, c := range offer.Crypto {
		i := slices.IndexFunc(s.keys, func(k Crypto) bool { return k.Suite == c.Suite })
		if i < 0 {
			continue
		}
		key := s.keys[i]
		key.Tag = c.Tag
		a.Crypto = []Crypto{key}
		s.own = a
		s.codecHere, s.eventHere = codec, event
		return a, s.start(offer, codec, event, key, c)
	}
	return a, fmt.Errorf("%w: suites %d lines", ErrNoCommon, len(offer.Crypto))
}

// Accept takes the peer's answer to the last offer and starts the stream, or changes it.
func (s *Stream) Accept(answer Description) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	codec, ok := s.firstCommon(answer.Codecs)
	if !ok || len(answer.Crypto) != 1 {
		return fmt.Errorf("%w: answer has codecs %v and %d crypto lines", ErrNoCommon, answer.Codecs, len(answer.Crypto))
	}
	c := answer.Crypto[0]
	i := slices.IndexFunc(s.own.Crypto, func(k Crypto) bool { return k.Tag == c.Tag && k.Suite == c.Suite })
	if i < 0 {
		return fmt.Errorf("%w: answer's crypto %d %s was not offered", ErrNoCommon, c.Tag, c.Suite)
	}
	event := bestEvent(answer.Codecs, codec.Clock, s.cfg.EventClock)
	s.codecHere, s.eventHere = codec, Codec{}
	for _, own := range s.own.Codecs {
		if own.Name == codec.Name {
			s.codecHere = own
		}
		if own.Name == "telephone-event" && event.Clock != 0 {
			s.eventHere = own
		}
	}
	return s.start(answer, codec, event, s.own.Crypto[i], c)
}

// start puts a negotiated pair of descriptions into effect.
func (s *Stream) start(peer Description, codec, event Codec, own, theirs Crypto) error {
	if err := s.send.set(own); err != nil {
		return err
	}
	if err := s.recv.set(theirs); err != nil {
		return err
	}
	s.peer, s.codec, s.event = peer, codec, event
	s.peerRTCP = netip.AddrPortFrom(peer.Addr.Addr(), peer.Addr.Port()+1)
	if peer.Mux {
		s.peerRTCP = peer.Addr
	}
	may := s.own.Direction == "sendrecv" || s.own.Direction == "sendonly"
	wants := peer.Direction == "sendrecv" || peer.Direction == "recvonly"
	s.sending = may && wants && peer.Addr.Port() != 0 && !peer.Addr.Addr().IsUnspecified()
	return nil
}

// Mute stops what this end plays, as a phone does while it holds.
func (s *Stream) Mute(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.muted = on
}

// Codec is the one agreed on, in lower case; "" before.
func (s *Stream) Codec() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.codec.Name
}

// Suite is the SRTP suite agreed on.
func (s *Stream) Suite() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.send.crypto.Suite
}

// Keys are this end's master keys, for the check that none of them shows up where it must not.
func (s *Stream) Keys() [][]byte {
	var out [][]byte
	for _, k := range s.keys {
		out = append(out, k.Key)
	}
	return out
}

// Dial sends digits as telephone events (RFC 4733), 100 ms each.
func (s *Stream) Dial(digits string) error {
	s.mu.Lock()
	clock := s.event.Clock
	s.mu.Unlock()
	if clock == 0 {
		return errors.New("voice: no telephone-event agreed on")
	}
	for _, d := range []byte(digits) {
		select {
		case s.digits <- d:
		case <-time.After(time.Second):
			return errors.New("voice: too many digits at once")
		}
	}
	return nil
}

func (s *Stream) firstCommon(codecs []Codec) (Codec, bool) {
	for _, c := range codecs {
		if slices.Contains(s.cfg.Codecs, c.Name) {
			return c, true
		}
	}
	return Codec{}, false
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// bestEvent prefers the audio's clock, as RFC 4733 §2.1 asks, then the clock that this end likes.
func bestEvent(codecs []Codec, audio, own uint32) (best Codec) {
	for _, clock := range []uint32{own, audio} {
		for _, c := range codecs {
			if c.Name == "telephone-event" && (best.Clock == 0 || c.Clock == clock) {
				best = c
			}
		}
	}
	return best
}
