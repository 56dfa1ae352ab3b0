package relay

import (
	"errors"
	"fmt"
	"net/netip"
)

// Set puts a negotiated stream into effect, atomically: nothing of the old one is used after it returns, except that packets sealed
// with the old key are still accepted for a short while. A key that stays the same keeps its state. An error changes nothing. The
// silence measured so far is forgotten.
func (l *Leg) Set(stream Stream) error {
	stream.Remote, stream.RemoteRTCP = unmapped(stream.Remote), unmapped(stream.RemoteRTCP)
	if !stream.ToPeer && (stream.Remote.Addr().IsUnspecified() || stream.Remote.Port() == 0) {
		stream.Remote = netip.AddrPort{} // the hold of old phones: 0.0.0.0 (RFC 3264 §8.4)
	}
	if err := l.check(stream); err != nil {
		return fmt.Errorf("set media stream: %w", err)
	}
	l.session.mu.Lock()
	defer l.session.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	if err := l.mayShare(stream); err != nil {
		return fmt.Errorf("set media stream: %w", err)
	}
	next := l.keys
	if err := next.change(l.w.scratch, stream.Recv, stream.Send, stream.Shared); err != nil {
		return fmt.Errorf("set media stream: %w", err)
	}
	e := &endpoint{
		turn:       1,
		remote:     stream.Remote,
		remoteRTCP: stream.RemoteRTCP,
		mux:        stream.Mux,
		fixed:      stream.FixedSource || stream.Recv.Suite == "",
		toPeer:     stream.ToPeer,
		shared:     stream.Shared,
		cn:         stream.CN,
		audio:      stream.Audio,
		codec:      stream.codec(),
		event:      stream.Event,
		heard:      [2]uint8{stream.RecvAudio.or(stream.Audio).Type, stream.RecvEvent.or(stream.Event).Type},
		recv:       next.recv,
		prev:       next.prev,
		send:       next.send,
		stood:      l.stood,
		ssrc:       random32(),
		sequence:   uint16(random32()) >> 1, // the lower half: far from the first roll-over (RFC 3711 §3.3.1)
		stamp:      random32(),
	}
	if !e.remoteRTCP.IsValid() {
		e.remoteRTCP = netip.AddrPortFrom(e.remote.Addr(), e.remote.Port()+1)
	}
	if old := l.endpoint; old != nil {
		e.turn = old.turn
		if old.remote != e.remote || old.remoteRTCP != e.remoteRTCP || old.fixed != e.fixed {
			e.turn++
		}
	}
	retired := l.keys.without(next)
	l.keys, l.endpoint = next, e
	l.session.remember(next.recvMark)
	l.compile()
	if l.with != nil {
		l.with.compile()
	}
	l.w.loop.Quiesce()
	if retired.fresh {
		l.changed.Store(0)
	}
	retired.wipe()
	now := l.session.relay.now()
	l.silence.arm(now, stream.FromPeer)
	l.unopened.arm(now, l.count.rxPackets.Load(), l.missed.Load())
	return nil
}

// check refuses what cannot work, so that signalling hears of it and not only the phone.
func (l *Leg) check(s Stream) error {
	if s.ToPeer || s.Remote.IsValid() {
		if err := l.checkRemote(s.Remote); err != nil {
			return err
		}
	}
	if s.RemoteRTCP.IsValid() {
		if err := l.checkRemote(s.RemoteRTCP); err != nil {
			return fmt.Errorf("RTCP: %w", err)
		}
	} else if s.Remote.Port() == 65535 && !s.Mux {
		return errors.New("there is no RTCP port above 65535")
	}
	if (s.Recv.Suite == "") != (s.Send.Suite == "") {
		return errors.New("one direction is encrypted and the other is not")
	}
	if err := s.Audio.check(s.Mux); err != nil {
		return fmt.Errorf("audio: %w", err)
	}
	if s.Event.Clock != 0 {
		if err := s.Event.check(s.Mux); err != nil {
			return fmt.Errorf("telephone-event: %w", err)
		}
		if s.Event.Type == s.Audio.Type || s.RecvEvent.or(s.Event).Type == s.RecvAudio.or(s.Audio).Type {
			return fmt.Errorf("audio and telephone-event share payload type %d", s.Event.Type)
		}
	}
	if s.RecvAudio.or(s.Audio).Clock != s.Audio.Clock || s.RecvEvent.or(s.Event).Clock != s.Event.Clock {
		return errors.New("what is received has another clock than what is sent")
	}
	return nil
}

func (l *Leg) checkRemote(a netip.AddrPort) error {
	switch {
	case !a.IsValid() || a.Addr().IsUnspecified() || a.Port() == 0:
		return fmt.Errorf("the peer's address %v names no place to send to", a)
	case a.Addr().IsMulticast() || a.Addr() == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("the peer's address %v is not one host's", a)
	case a.Addr().Is4() != l.local.Addr().Unmap().Is4():
		return fmt.Errorf("the peer's address %v cannot be reached from %v", a, l.local.Addr())
	case a == l.local:
		return fmt.Errorf("the peer's address %v is the box's own port", a)
	}
	return nil
}

// check refuses payload types that do not exist, or that look like RTCP on a shared port (RFC 5761 §4).
func (p Payload) check(mux bool) error {
	switch {
	case p.Type > 127:
		return fmt.Errorf("payload type %d is above 127", p.Type)
	case mux && p.Type >= 64 && p.Type <= 95:
		return fmt.Errorf("payload type %d would be taken for RTCP on the same port", p.Type)
	case p.Clock == 0:
		return fmt.Errorf("payload type %d has no clock rate", p.Type)
	}
	return nil
}

func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// or is q where p is not given.
func (p Payload) or(q Payload) Payload {
	if p.Clock == 0 {
		return q
	}
	return p
}
