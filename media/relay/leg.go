package relay

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"

	"holdfast/media/rtp"
	"holdfast/media/udp"
)

// Leg is one side's sockets: RTP and, one port above, RTCP.
//
// What every packet needs stands together and comes first: with a thousand legs, a cache miss costs more than the work.
type Leg struct {
	rtp     udp.Socket
	w       *worker
	route   atomic.Pointer[Route] // where signalling and packets meet
	heard   atomic.Int64          // time.Duration: the last authentic packet; 0: none
	media   latch                 // the worker's, as are
	rx      rtp.Reception
	count   counters // (which anyone reads)
	tx      outgoing
	control latch
	reports sentReports
	playing playing
	keypad  keypad

	rtcp    udp.Socket
	session *Session
	side    Side
	local   netip.AddrPort
	cname   string        // that the peer sees: a random one (RFC 7022 §4.2), different for each leg
	changed atomic.Int64  // time.Duration: the first packet under a new key; 0: none yet
	ended   atomic.Uint64 // number of the play that ended last, and was reported
	missed  atomic.Uint64 // RTP packets from the peer's host that did not open

	// Signalling's, guarded by session.mu.
	with     *Leg
	play     *play     // nil: nothing
	endpoint *endpoint // nil before the first Set
	keys     keys
	stood    standing // of the peer's stream: on the leg before; once closed, on this one
	silence  silence
	unopened unopened
	closed   bool
}

// bindTries is how many port pairs are tried when other programs sit on some.
const bindTries = 32

// newLeg takes a port pair and opens its sockets.
func newLeg(s *Session, side Side) (*Leg, error) {
	addr := s.relay.cfg.AccessAddr
	switch side {
	case Access:
	case Trunk:
		addr = s.relay.cfg.TrunkAddr
	default:
		return nil, fmt.Errorf("media leg: no side %d", side)
	}
	l := &Leg{session: s, side: side, w: s.worker, cname: rand.Text()}
	var failed error
	for range bindTries {
		port, ok := s.relay.take(s.emergency)
		if !ok {
			break
		}
		if failed = l.bind(netip.AddrPortFrom(addr, port)); failed == nil {
			return l, nil
		}
		s.relay.give(port)
	}
	if failed != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoPorts, failed)
	}
	return nil, ErrNoPorts
}

func (l *Leg) bind(at netip.AddrPort) (err error) {
	dscp := l.session.relay.cfg.DSCP
	l.local = at
	if err = l.rtp.Open(l.w.loop, at, dscp); err != nil {
		return err
	}
	if err = l.rtcp.Open(l.w.loop, netip.AddrPortFrom(at.Addr(), at.Port()+1), dscp); err != nil {
		l.rtp.Close()
		return err
	}
	if err = l.rtp.Watch(rtpPort{l}); err == nil {
		err = l.rtcp.Watch(rtcpPort{l})
	}
	if err != nil {
		l.rtp.Close()
		l.rtcp.Close()
	}
	return err
}

func (r *Relay) take(emergency bool) (uint16, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ports.Take(r.now(), emergency)
}

func (r *Relay) give(port uint16) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ports.Give(port, r.now())
}

// Local is where the peer sends RTP to; RTCP is one port above.
func (l *Leg) Local() netip.AddrPort { return l.local }

// compile makes the leg's Route from what both ends have agreed to, and swaps it in. The caller holds session.mu and quiesces the worker.
func (l *Leg) compile() {
	if l.endpoint == nil {
		l.route.Store(nil)
		return
	}
	r := &Route{from: *l.endpoint, link: l.session.links, play: l.play.in(l.endpoint)}
	if l.with != nil && l.with.endpoint != nil {
		r.to, r.leg, r.cover = *l.with.endpoint, l.with, l.with.play
		r.verbatim = l.verbatim()
	}
	l.route.Store(r)
	if r.play != nil {
		l.w.loop.StartTicks()
	}
}

// Close frees this leg only (a fork branch that lost). It is idempotent.
func (l *Leg) Close() {
	s := l.session
	s.mu.Lock()
	defer s.mu.Unlock()
	l.close()
	s.legs = slices.DeleteFunc(s.legs, func(other *Leg) bool { return other == l })
}

// close frees the leg. Order: nobody sends to it any more, then it receives nothing more, then its keys go, then its ports.
func (l *Leg) close() {
	if l.closed {
		return
	}
	l.closed = true
	if other := l.with; other != nil {
		l.with, other.with = nil, nil
		other.compile()
	}
	l.endpoint = nil
	l.stopPlay()
	l.compile()
	l.w.loop.Quiesce()
	l.stand()
	l.rtp.Close()
	l.rtcp.Close()
	l.keys.wipe()
	l.session.relay.give(l.local.Port())
}
