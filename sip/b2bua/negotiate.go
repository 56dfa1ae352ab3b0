package b2bua

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"holdfast/sip/sdp"
	"holdfast/sip/stack"
)

// openMedia takes ports for the leg.
func (l *leg) openMedia() error {
	m, err := l.call.media.AddLeg(l.mediaSide())
	for try := 0; err != nil && l.call.makeRoom(try); try++ {
		m, err = l.call.media.AddLeg(l.mediaSide())
	}
	if err != nil {
		return err
	}
	l.media = m
	if l.id != 0 {
		return nil // a dialog that goes on in another call keeps its o= line
	}
	var id [8]byte
	rand.Read(id[:])
	l.id = binary.BigEndian.Uint64(id[:]) >> 2 // numeric and below 2^62, as RFC 8866 §5.2 wants it
	return nil
}

// say writes a description and remembers it; the version grows when it differs from the last (RFC 3264 §8).
func (l *leg) say(d sdp.Local) ([]byte, error) {
	d.Addr, d.SessionID = l.media.Local(), l.id
	d.Version = l.local.Version
	if l.said && !d.Equal(l.local) || !l.said {
		d.Version++
	}
	body, err := d.Marshal()
	if err != nil {
		return nil, fmt.Errorf("describe leg %s: %w", l.name, err)
	}
	l.local, l.said = d, true
	return body, nil
}

// plainDevice reports whether the leg's peer is a device that the site allows plain RTP. Its address is configured.
func (l *leg) plainDevice() bool {
	dev, ok := l.call.site.DeviceByAddress(l.source)
	return ok && dev.PlainRTP && l.side == stack.Access
}

// profile for an offer of the box: the peer's own once it is known.
func (l *leg) profile() string {
	if l.peer != nil {
		return l.peer.Profile
	}
	if l.plainOK {
		return "RTP/AVP"
	}
	return "RTP/SAVP"
}

// offerCodecs makes an offer to the peer. In an established dialog the key in force is kept, so that the peer's
// stream runs on; a first offer has fresh keys for every suite.
func (l *leg) offerCodecs(codecs []sdp.Codec, dir sdp.Direction) ([]byte, error) {
	d := sdp.Local{Profile: l.profile(), Codecs: codecs, Direction: dir, Ptime: l.call.ptime()}
	if l.peer != nil {
		d.Lines, d.Index, d.Mux = l.peer.Lines, l.peer.Index, l.peer.Mux
	}
	switch {
	case l.foreign:
		key, err := l.ownKey()
		if err != nil {
			return nil, err
		}
		d.Crypto = []sdp.Crypto{key}
	case l.send.Suite != "":
		d.Crypto = []sdp.Crypto{l.send}
	case l.profile() != "RTP/AVP" || !l.plainOK:
		keys, err := sdp.NewKeys(sdp.DefaultSuites(), rand.Reader)
		if err != nil {
			return nil, err
		}
		d.Crypto = l.withLent(keys)
	}
	l.keys, l.offer = d.Crypto, codecs
	return l.say(d)
}

// Errors of a negotiation, each with the status that it means.
var (
	errNoSRTP   = errors.New("the offer has no usable SRTP key")
	errBadReply = errors.New("the answer does not fit the offer")
)

// takeAnswer checks the peer's answer to the box's offer and makes its keys those in force. The codec is agreed by the
// caller.
func (l *leg) takeAnswer(d *sdp.Description) error {
	if len(l.keys) > 0 {
		ours, theirs, ok := sdp.MatchCrypto(l.keys, d.Crypto)
		if !ok {
			return fmt.Errorf("%w: no key of an offered suite", errBadReply)
		}
		l.send, l.recv = ours, theirs
		l.foreign, l.misled = l.lent.Suite != "" && sameKey(ours, l.lent), false
	} else if d.Secure() {
		return fmt.Errorf("%w: SRTP where plain RTP was offered", errBadReply)
	}
	l.heardSDP(d)
	return nil
}

// heardSDP notes what the peer said.
func (l *leg) heardSDP(d *sdp.Description) {
	l.peer = d
	l.can = merge(sdp.Filter(d.Codecs), l.can)
}

// merge appends to a what only b has.
func merge(a, b []sdp.Codec) []sdp.Codec {
	out := slices.Clone(a)
	for _, c := range b {
		if len(out) < 32 && !slices.ContainsFunc(out, c.Same) {
			out = append(out, c)
		}
	}
	return out
}

// takeOffer checks the security of the peer's offer and prepares the key that the answer will carry. The key in force
// is kept when the peer keeps the suite.
func (l *leg) takeOffer(d *sdp.Description) error {
	theirs, ok := sdp.SelectCrypto(d.Crypto)
	if ok && l.send.Suite != "" {
		for _, c := range d.Crypto { // stay with the suite in force where it is offered again
			if c.Suite == l.recv.Suite {
				theirs = c
				break
			}
		}
	}
	switch {
	case ok:
		ours := l.send
		if ours.Suite != theirs.Suite || string(l.recv.Key) != string(theirs.Key) || l.foreign && !l.repeats(d) {
			var err error
			if ours, err = theirs.Answer(rand.Reader); err != nil {
				return err
			}
			l.foreign = false
		}
		ours.Tag, ours.Spelling = theirs.Tag, theirs.Spelling
		l.send, l.recv = ours, theirs
	case d.Secure() || !l.plainOK:
		return errNoSRTP
	}
	l.heardSDP(d)
	return nil
}

// secures reports whether takeOffer would take the offer's security.
func (l *leg) secures(d *sdp.Description) bool {
	_, ok := sdp.SelectCrypto(d.Crypto)
	return ok || !d.Secure() && l.plainOK
}

// answer describes the leg in answer to the peer's offer.
func (l *leg) answer(dir sdp.Direction) ([]byte, error) {
	d := sdp.Local{Profile: l.peer.Profile, Codecs: l.codecs.Codecs(), Direction: dir.And(l.peer.Direction.Reverse()), Ptime: l.call.ptime(),
		Mux: l.peer.Mux, Lines: l.peer.Lines, Index: l.peer.Index}
	if l.send.Suite != "" {
		d.Crypto = []sdp.Crypto{l.send}
	}
	return l.say(d)
}

// apply puts what was negotiated into effect in the relay. other is the direction that the other side allows.
func (l *leg) apply(other sdp.Direction) error {
	if l.media == nil || l.peer == nil || l.codecs.Audio.Clock == 0 {
		return nil
	}
	p := l.peer
	s := Stream{
		Remote: p.Remote, RemoteRTCP: p.RTCP, Mux: p.Mux,
		Recv:  Crypto{Suite: l.recv.Suite, Key: l.recv.Key, MKI: l.recv.MKI},
		Send:  Crypto{Suite: l.send.Suite, Key: l.send.Key},
		Audio: Payload{l.codecs.Audio.Type, l.codecs.Audio.Clock}, RecvAudio: Payload{l.ours.Audio.Type, l.ours.Audio.Clock},
		Codec: l.codecs.Audio.Name,
		Event: Payload{l.codecs.Event.Type, l.codecs.Event.Clock}, RecvEvent: Payload{l.ours.Event.Type, l.ours.Event.Clock},
		CN:          l.codecs.Noise.Clock != 0,
		ToPeer:      l.call.direction(l).Receives() && other.Sends(),
		FromPeer:    p.Direction == sdp.SendRecv && other.Receives(), // who holds, and who is held, may well be silent
		FixedSource: l.plainOK && l.recv.Suite == "", Shared: l.foreign,
	}
	if s.FixedSource && l.plainDevice() { // its configured address, whatever it says
		s.Remote, s.RemoteRTCP = l.atSource(s.Remote), l.atSource(s.RemoteRTCP)
	}
	if s.Remote.Addr().IsUnspecified() { // hold of RFC 2543: the old address stays for the day it is resumed
		s.Remote, s.ToPeer = l.lastAudio.Remote, false
	}
	l.lastAudio = s
	return l.media.Set(s)
}

// atSource is a media address of the peer's with the host that its signalling comes from. The hold of RFC 2543 stays.
func (l *leg) atSource(a netip.AddrPort) netip.AddrPort {
	if !a.IsValid() || a.Addr().IsUnspecified() {
		return a
	}
	return netip.AddrPortFrom(l.source, a.Port())
}
