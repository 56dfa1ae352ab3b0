package relay

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"holdfast/media/rtp"
)

// Shared keys. Where both peers of a call agree on one suite, signalling may pass each one's key on to the other. Then a packet needs
// only to be verified and goes on as it is. The price: SSRC, sequence numbers, timestamps, header extensions and the RTCP with its names
// are the peers' own, and the box must not say a word under these keys, since an index that is sealed twice gives the plaintext away
// (RFC 3711 §9.1), and with GCM the authentication key (RFC 7714 §8.1). For such a stream no Sealer is ever made. Before a prompt,
// another connected leg or a change of payload types can be heard, signalling must give the leg a key of the box's own.

// ErrShared is a key that two would seal with, or that may not be passed on.
var ErrShared = errors.New("SRTP key is shared")

// errPeersKey is a packet that the box may not seal, because the key is a peer's.
var errPeersKey = errors.New("the key is another peer's")

// Shared says whether the box cannot send anything of its own to the leg's peer until Set gives it a key for that. It is so from the Set
// that says so to the next.
func (l *Leg) Shared() bool {
	l.session.mu.Lock()
	defer l.session.mu.Unlock()
	return l.endpoint != nil && l.endpoint.shared
}

// mayShare checks the keys of a new stream against those of the session's other legs. The caller holds session.mu.
func (l *Leg) mayShare(s Stream) error {
	send, recv := s.Send.mark(), s.Recv.mark()
	none := fingerprint{}
	if !send.is(none) && send.is(recv) {
		return errShare("both ways have the same")
	}
	before := l.endpoint != nil && l.endpoint.shared && send.is(l.keys.sendMark) // it is the other peer's already
	switch {
	case s.Shared && before:
	case s.Shared:
		if err := l.mayBegin(send); err != nil {
			return err
		}
	case before:
		return errShare("it is the other peer's")
	case !send.is(none) && slices.ContainsFunc(l.session.theirs, send.is):
		return errShare("a peer seals with what shall be the box's own")
	}
	for _, other := range l.session.legs {
		if other.endpoint != nil && !other.endpoint.shared && !recv.is(none) && recv.is(other.keys.sendMark) {
			return errShare("the peer would seal with a key of the box's own")
		}
	}
	return nil
}

// mayBegin says whether the leg may get a peer's key that it did not have before. One that it has it may keep, whoever joins the
// session: nobody else gets it by that.
func (l *Leg) mayBegin(send fingerprint) error {
	switch {
	case !l.session.relay.cfg.SharedKeys:
		return errShare("sharing is not allowed")
	case send.is(fingerprint{}):
		return errShare("there is none to share")
	case send.is(l.keys.sendMark):
		return errShare("the box has sealed with it")
	case len(l.session.legs) > 2:
		return errShare("the call forks")
	case l.play != nil:
		return errShare("a prompt is being played")
	}
	for _, other := range l.session.legs {
		if other.side == Trunk {
			return errShare("the trunk is no place for a peer's key")
		}
	}
	return nil
}

// rememberedPeers is how many of the keys that peers sealed with a session recognises.
const rememberedPeers = 64

// remember notes that a peer seals with a key. The caller holds mu.
func (s *Session) remember(key fingerprint) {
	if key == (fingerprint{}) || slices.ContainsFunc(s.theirs, key.is) {
		return
	}
	if len(s.theirs) == rememberedPeers {
		s.theirs = slices.Delete(s.theirs, 0, 1)
	}
	s.theirs = append(s.theirs, key)
}

func errShare(why string) error { return &shareError{why} }

type shareError struct{ why string }

func (e *shareError) Error() string { return ErrShared.Error() + ": " + e.why }
func (e *shareError) Unwrap() error { return ErrShared }

// verbatim says whether what l's peer sends can go on to the connected leg as it is: it is sealed for that peer, and means the same there.
func (l *Leg) verbatim() bool {
	if l.with == nil || l.with.endpoint == nil || !l.with.endpoint.shared || !l.keys.recvMark.is(l.with.keys.sendMark) {
		return false
	}
	from, to := l.endpoint, l.with.endpoint
	return from.heard[0] == to.audio.Type && from.audio.Clock == to.audio.Clock && from.event.Clock == to.event.Clock &&
		(to.event.Clock == 0 || from.heard[1] == to.event.Type) && (!from.cn || to.cn)
}

// openShared is open for a packet that shall go on as it is: sealed. Only telephone events are decrypted, for those who count digits.
// Another key than the one in force opens nothing here: the other peer has no other.
func (l *Leg) openShared(e *endpoint, pkt []byte, now time.Duration) (opened, sealed []byte, err error) {
	if e.event.Clock == 0 || pkt[1]&0x7f != e.heard[1] {
		opened, sealed, err = pkt, pkt, e.recv.Verify(pkt)
	} else {
		sealed = l.w.spare[:copy(l.w.spare, pkt)]
		opened, err = e.recv.RTP(pkt)
	}
	if err == nil && e.prev != nil {
		l.changed.CompareAndSwap(0, int64(now))
	}
	return opened, sealed, err
}

// passOn sends a packet to the other leg's peer as it came.
func (l *Leg) passOn(r *Route, sealed []byte) {
	to, peer := r.leg, &r.to
	to.media.follow(peer.turn, peer.remote)
	if !to.rtp.Send(sealed, to.media.at) {
		to.count.sendErrors.Add(1)
		return
	}
	to.count.txPackets.Add(1)
	to.count.txBytes.Add(uint64(len(sealed)))
}

// receiveSharedControl is receiveControl where reports go on as they are. k admits the packet, which came from from.
func (l *Leg) receiveSharedControl(r *Route, k *latch, pkt []byte, from netip.AddrPort, now time.Duration) {
	e, to := &r.from, r.leg
	sealed := l.w.spare[:copy(l.w.spare, pkt)]
	pkt, err := e.recv.RTCP(pkt)
	if err != nil {
		l.refuse(err)
		return
	}
	in, err := rtp.ParseReport(pkt, to.rx.SSRC())
	if err != nil {
		l.drop(malformed)
		return
	}
	k.authenticated(e, from, now)
	l.heard.Store(int64(now))
	if in.About && e.shared { // it hears the other peer's stream, not one of the box's
		l.learn(in, now)
	}
	if !r.to.toPeer {
		l.drop(held)
		return
	}
	if in.Sender {
		to.reports.add(reported{in.Info.Middle(), now, l})
	}
	to.sendControl(&r.to, sealed)
}
